"""The output of a comparison: a line for each metric of each cell, with warnings below."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import msgspec

from testbed.analysis import wording
from testbed.analysis.comparison import Comparison
from testbed.cli.output import console
from testbed.cli.tables import COLOURS, print_table

if TYPE_CHECKING:
    from rich.console import Console


def print_comparison(out: Console, found: Comparison) -> None:
    """Print the table, the reasons for undecided changes, and possible disturbances."""
    from rich.table import Table
    from rich.text import Text

    out.print(wording.title(found), style="bold", soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for column in wording.heads(found):
        table.add_column(column, overflow="fold")
    before: list[str] = []
    for change in found.changes:
        row = list(wording.cells(found, change))
        several = len(wording.parameters(found)) + 1 + (len(found.news) > 1)
        cell = row[:several]
        verdict = Text(change.verdict, COLOURS[change.verdict])
        table.add_row(*([""] * several if cell == before else cell), *row[several:-1], verdict)
        before = cell
    print_table(out, table)
    out.print(wording.explanation(found), style="dim", soft_wrap=True)
    out.print()
    for change in found.changes:
        if change.why is not None:
            text = f": {wording.subject(change)}: {wording.why(change)}"
            out.print(Text(change.verdict, COLOURS[change.verdict]), text, sep="", soft_wrap=True)
    for warning in found.warnings:
        out.print(Text("warning", "yellow"), f": {warning}", sep="", soft_wrap=True)
    out.print(wording.counted(found))


def as_text(found: Comparison) -> str:
    """Return the output of :func:`print_comparison` without colours."""
    written = io.StringIO()
    print_comparison(console(file=written), found)
    return written.getvalue()


def plain(found: Comparison) -> dict[str, Any]:
    """Return a complete comparison for JSON, with the number of changes of each verdict."""
    return msgspec.structs.asdict(found) | {"counts": found.counts, "regressed": found.regressed}
