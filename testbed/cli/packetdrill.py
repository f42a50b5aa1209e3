"""``testbed packetdrill``: packetdrill scripts for the userspace stack."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from testbed.cli import completion
from testbed.cli.options import Json
from testbed.cli.output import console, print_json
from testbed.errors import InputError, PlatformError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from testbed.interchange.packetdrill import Outcome

_COLOURS: Final = {"pass": "green", "fail": "red", "unsupported": "yellow"}


class Summary(msgspec.Struct, frozen=True):
    """The number of scripts with each verdict below a directory."""

    directory: str
    passed: int
    failed: int
    unsupported: int


Files = Annotated[list[Path], typer.Argument(help="Scripts, or directories of *.pkt.")]
IpVersions = Annotated[
    list[str] | None,
    typer.Option(
        metavar="VERSION",
        help="ipv4, ipv4-mapped-ipv6 or ipv6; may be given again. Default: all that a script "
        "allows.",
        autocompletion=completion.ip_versions,
    ),
]
Defines = Annotated[
    list[str] | None,
    typer.Option("--define", "-D", metavar="NAME=VALUE", help="Replace a word of the scripts."),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print each event.")]


def command(
    files: Files,
    ip_version: IpVersions = None,
    define: Defines = None,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Run packetdrill's scripts against the userspace stack.

    They run in virtual time and need no root. A script passes, fails at one of its lines, or is
    unsupported: the stack lacks a feature that it needs. Unsupported does not count as passed. A
    script whose name ends in v4 or v6 runs with that version of IP only.

    Exit codes: 0 all scripts passed; 1 one failed; 2 one cannot be read; 4 none of these, but one
    is unsupported.

    Examples:

        testbed packetdrill tests/vectors/packetdrill

        testbed packetdrill --ip-version ipv6 --verbose close.pkt

        testbed packetdrill --json DIR
    """
    errors: list[InputError] = []
    tell = console().print if verbose and not json else None
    outcomes = list(_run(files, ip_version or (), _defines(define or ()), tell, errors))
    if json:
        print_json({"summary": _summaries(outcomes), "outcomes": outcomes})
    else:
        _print(console(), outcomes)
    if errors:
        raise InputError.together(errors)
    ends = {outcome.verdict.value for outcome in outcomes}
    if "fail" in ends:
        raise typer.Exit(1)
    if "unsupported" in ends:
        raise typer.Exit(PlatformError.exit_code)


def _run(
    files: list[Path],
    ip_versions: list[str] | tuple[str, ...],
    defines: dict[str, str],
    tell: Callable[[str], None] | None,
    errors: list[InputError],
) -> Iterator[Outcome]:
    """Run each script over each version. Scripts that cannot be read become errors."""
    from testbed.interchange import packetdrill

    for path in packetdrill.scripts(files):
        for version in ip_versions or packetdrill.versions_of(path):
            if tell is not None:
                tell(f"{path} {version}")
            try:
                yield packetdrill.run(path, version, defines=defines, tell=tell or _nobody)
            except InputError as error:
                errors.append(error)


def _nobody(_: str) -> None:
    """Print nothing."""


def _defines(given: list[str] | tuple[str, ...]) -> dict[str, str]:
    defines: dict[str, str] = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not name or not sign:
            raise InputError(f"--define {one}: is not NAME=VALUE")
        defines[name] = value
    return defines


def _summaries(outcomes: list[Outcome]) -> list[Summary]:
    """Count verdicts for each directory, and in total if there are several."""
    counts: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        directory = str(Path(outcome.file).parent)
        counts.setdefault(directory, Counter())[outcome.verdict.value] += 1
    if len(counts) > 1:
        counts["all"] = sum(counts.values(), Counter())
    return [
        Summary(directory, count["pass"], count["fail"], count["unsupported"])
        for directory, count in counts.items()
    ]


def _print(out: Console, outcomes: list[Outcome]) -> None:
    from rich.table import Table

    for outcome in outcomes:
        _print_outcome(out, outcome)
    if not outcomes:  # no script could be read: the errors give the reasons
        return
    table = Table(box=None, pad_edge=False)
    for title in ("directory", "pass", "fail", "unsupported"):
        table.add_column(title, justify="left" if title == "directory" else "right")
    for one in _summaries(outcomes):
        table.add_row(one.directory, str(one.passed), str(one.failed), str(one.unsupported))
    out.print(table)


def _print_outcome(out: Console, outcome: Outcome) -> None:
    from rich.text import Text

    verdict = outcome.verdict.value
    where = outcome.file if outcome.line is None else f"{outcome.file}:{outcome.line}"
    said = f" {where} ({outcome.ip_version})" + (f": {outcome.reason}" if outcome.reason else "")
    out.print(Text.assemble((verdict, _COLOURS[verdict]), said), soft_wrap=True)
    if outcome.expected:
        out.print(f"  expected {outcome.expected}", soft_wrap=True)
        out.print(f"  got      {outcome.got}", soft_wrap=True)
