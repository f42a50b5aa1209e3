"""The outcomes of experiments in the formats of the kernel's test tools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from testbed.cli.options import Format
from testbed.cli.output import print_json, tell

if TYPE_CHECKING:
    from testbed.analysis.outcome import Outcome
    from testbed.results.store import Store


def print_tests(found: Sequence[tuple[Store, Outcome]], wanted: str) -> None:
    """Print experiments as tests: one document for all of them.

    In KernelCI's format the environment is that of the first experiment. Without experiments
    nothing is printed.

    :param wanted: a value of :class:`Format`.
    """
    from testbed.interchange import ktap

    tests = [ktap.test_of(outcome, store.runs(tell)) for store, outcome in found]
    if wanted == Format.KTAP:
        typer.echo(ktap.ktap(tests), nl=False)
    elif found:
        print_json(ktap.kernelci(tests, found[0][0].environment()))
