"""Options that several commands have."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
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

Argv = Annotated[list[str], typer.Argument(help="The program and its arguments.")]
TopologyFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="A topology: a file, or a name.")
]
WireSeed = Annotated[int, typer.Option("--seed", help="Seed of the wires' random numbers.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Write to this file; default: standard output."
    ),
]
Metrics = Annotated[
    str | None,
    typer.Option(
        metavar="A,B",
        help="Show these metrics; `testbed metrics` lists them.",
        autocompletion=completion.metrics,
    ),
]

# Options of the commands that carry out runs.
Jobs = Annotated[
    int, typer.Option("--jobs", "-j", min=1, help="Number of runs at a time, in virtual time only.")
]
Repetitions = Annotated[
    int | None, typer.Option(min=1, help="Runs of each cell, instead of the number in files.")
]
Again = Annotated[
    bool, typer.Option("--again", help="With --resume: repeat runs that do not count, too.")
]
Results = Annotated[Path, typer.Option(help="The parent folder of result folders.")]


class Format(StrEnum):
    """The formats of the kernel's test tools."""

    KTAP = "ktap"
    KERNELCI = "kernelci"


TestFormat = Annotated[
    Format | None,
    typer.Option(
        "--format", help="Print KTAP, or a test group of KernelCI as kunit.py --json does."
    ),
]


def metric_names(text: str | None) -> tuple[str, ...]:
    """Return the names of ``--metrics A,B``, or none without the option.

    :raises InputError: the option has no names.
    """
    names = tuple(name for each in (text or "").split(",") if (name := each.strip()))
    if text is not None and not names:
        hint = "write --metrics A,B; `testbed metrics` lists the names"
        raise InputError(f"--metrics {text!r} names no metric", hint=hint)
    return names
