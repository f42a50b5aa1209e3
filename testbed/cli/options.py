"""Options that several commands have."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from testbed.cli import completion
from testbed.errors import InputError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document for programs.")]
Sandbox = Annotated[
    str, typer.Argument(help="A running sandbox.", autocompletion=completion.sandboxes)
]
Node = Annotated[
    str, typer.Argument(help="One of its nodes, or @wire.", autocompletion=completion.nodes)
]


class Format(StrEnum):
    """Formats of the kernel's test tools."""

    KTAP = "ktap"
    KERNELCI = "kernelci"


TestFormat = Annotated[
    Format | None,
    typer.Option(
        "--format", help="Print KTAP, or a test group of KernelCI as kunit.py's --json does."
    ),
]


def metric_names(text: str | None) -> tuple[str, ...]:
    """Return the names that ``--metrics A,B`` gives; none without the option.

    :raises InputError: the option gives none.
    """
    names = tuple(name for each in (text or "").split(",") if (name := each.strip()))
    if text is not None and not names:
        hint = "write --metrics A,B; `testbed metrics` lists them"
        raise InputError(f"--metrics {text!r} names no metric", hint=hint)
    return names
