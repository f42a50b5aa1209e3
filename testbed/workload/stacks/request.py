"""The command line that starts a program over our own stack."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import msgspec

from testbed.workload.stacks.model import Scalar

_MODULE: Final = "testbed.workload.with_stack"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The stack that a program should use.

    :param chosen: the chosen options, with values as in its struct of options.
    :param report: the file for the report on the connections.
    """

    stack: str
    chosen: dict[str, Scalar] = {}
    report: str

    def command(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Return the command line that runs a program over the stack."""
        text = msgspec.json.encode(self).decode()
        return (sys.executable, "-m", _MODULE, text, "--", *argv)
