"""How a program is started over a stack of ours, in words of a command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import msgspec

from testbed.workload.stacks.model import Scalar

_MODULE: Final = "testbed.workload.with_stack"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Which stack a program is to use.

    :param chosen: options of it, as its struct of options holds them.
    :param report: the file in which to say what connections there were.
    """

    stack: str
    chosen: dict[str, Scalar] = {}
    report: str

    def command(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Return the command line that runs a program over the stack."""
        text = msgspec.json.encode(self).decode()
        return (sys.executable, "-m", _MODULE, text, "--", *argv)
