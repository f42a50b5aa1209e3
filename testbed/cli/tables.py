"""The outcome of an experiment as text, for `run` and `show`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from testbed.analysis import numbers, wording
from testbed.analysis.outcome import CellOutcome, Outcome, Problem
from testbed.analysis.samples import SATURATED
from testbed.analysis.verdicts import Verdict
from testbed.cli.output import console
from testbed.results.model import RunRecord, Status
from testbed.text import clean

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from testbed.metric import Metric

COLOURS: Final = {
    Verdict.PASS: "green",
    Verdict.REGRESSED: "red",
    Verdict.IMPROVED: "cyan",
    Verdict.CHANGED: "magenta",
    Verdict.INCONCLUSIVE: "yellow",
    Status.OK: "green",
    Status.FAILED: "red",
    Status.INVALID: "yellow",
}
Column = tuple[str, tuple[str, ...]]  # the name of a column, and the text of each row
_SHOWN_PROBLEMS: Final = 10
_WIDEST: Final = 10_000  # characters of a table


def print_outcome(console: Console, outcome: Outcome, path: Path) -> None:
    """Print the table, the expectations, the failures and the path of the results."""
    title = ": ".join(filter(None, (outcome.experiment, outcome.description)))
    console.print(title, style="bold")
    columns = _columns(outcome)
    if console.is_terminal:
        _print_columns(console, columns)
    else:
        console.file.writelines(_plain_lines(columns))
    console.print("mean ± the wider half of its 95 % confidence interval\n", style="dim")
    for remark in outcome.remarks:
        console.print(remark, style="dim", soft_wrap=True)
    for check in outcome.checks:
        _print_line(console, check.verdict, wording.claim(check, outcome.own))
    for claim in outcome.unjudged:
        console.print(
            f"not judged, because its runs were left out: {claim}", style="dim", soft_wrap=True
        )
    for problem in outcome.problems[:_SHOWN_PROBLEMS]:
        _print_line(console, problem.status, _problem(problem))
    if len(outcome.problems) > _SHOWN_PROBLEMS:
        console.print(
            f"... and {len(outcome.problems) - _SHOWN_PROBLEMS} more runs that do not count"
        )
    last = [f"Results: {path}"]
    if outcome.missing:
        last.insert(0, f"missing runs: {outcome.missing}; `testbed run --resume {path}` does them")
    console.print("\n".join(last), soft_wrap=True)


def _print_columns(console: Console, columns: Sequence[Column]) -> None:
    """Print a table. If it is too wide, columns with equal rows are printed below it."""
    table = _table(columns)
    equal: list[Column] = []
    if _width(console, table) > console.width:
        equal = [column for column in columns if _of_all(column)]
        table = _table([column for column in columns if column not in equal])
    console.print(table)
    if equal:
        shared = ", ".join(f"{name} {values[0]}" for name, values in equal)
        console.print(f"in all rows: {shared}", soft_wrap=True)


def _plain_lines(columns: Sequence[Column]) -> Iterator[str]:
    """Yield the lines of a table in its full width.

    A sweep has thousands of cells, each with a row, for which rich would take half a millisecond.
    """
    from rich.cells import cell_len

    cells = [[clean(text).replace("\n", "\\n") for text in (name, *of)] for name, of in columns]
    widths = [max(map(cell_len, column)) for column in cells]
    for row in zip(*cells, strict=True):
        padded = (
            text + " " * (width - cell_len(text)) for text, width in zip(row, widths, strict=True)
        )
        yield "  ".join(padded) + "\n"


def as_text(outcome: Outcome, path: Path) -> str:
    """Return the output of :func:`print_outcome` without colours."""
    written = io.StringIO()
    print_outcome(console(file=written), outcome, path)
    return written.getvalue()


def print_runs(console: Console, runs: Sequence[RunRecord], outcome: Outcome) -> None:
    """Print one line per run."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    parameters = _parameters(runs)
    columns = ("run", *parameters, "stack", "status", *outcome.headline, "subflows", "reason")
    for column in columns:
        table.add_column(column, overflow="fold")
    for run in runs:
        metrics = (_metric(run, name, outcome.own) for name in outcome.headline)
        table.add_row(
            f"{run.number:04d}",
            *_values(run, parameters),
            run.stack,
            Text(run.status, COLOURS[run.status]),
            *metrics,
            " ".join(map(str, run.subflows)) or "-",
            run.reason or "",
        )
    print_table(console, table)


def print_table(console: Console, table: Table) -> None:
    """Print a table; without a terminal in its full width, so that no name is cut or broken."""
    if console.is_terminal:
        console.print(table)
        return
    for column in table.columns:
        column.no_wrap = True
    width, console.width = console.width, _WIDEST
    console.print(table)
    console.width = width


def _width(console: Console, table: Table) -> int:
    from rich.measure import Measurement

    without_end = console.options.update(max_width=_WIDEST)
    return Measurement.get(console, without_end, table).maximum


def _of_all(column: Column) -> bool:
    """Return whether a column has equal values in all rows. Two columns always stay."""
    name, values = column
    return name not in ("stack", "runs") and len(values) > 1 and len(set(values)) == 1


def _columns(outcome: Outcome) -> list[Column]:
    """Return the columns of the table, with a value for every cell."""
    reference = outcome.cells[0].stack
    several = any(cell.relative or cell.stack != reference for cell in outcome.cells)
    parameters = _parameters(outcome.cells)
    names = [*parameters, "stack", "runs", *outcome.headline]
    names += ["subflows", "congestion", "engine"]
    saturated = any(cell.busy >= SATURATED for cell in outcome.cells)
    names += ["busy"] * saturated + [f"{outcome.headline[0]} vs {reference}"] * several
    rows = [
        [
            *_values(cell, parameters),
            *_row(cell, outcome),
            *([f"{cell.busy:.0%}"] * saturated),
            *([_relative(cell)] * several),
        ]
        for cell in outcome.cells
    ]
    return list(zip(names, zip(*rows, strict=True), strict=True))


def _table(columns: Sequence[Column]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name, _ in columns:
        table.add_column(name, overflow="fold")
    for row in zip(*(values for _, values in columns), strict=True):
        table.add_row(*row)
    return table


def _row(cell: CellOutcome, outcome: Outcome) -> Iterator[str]:
    yield cell.stack
    yield f"{cell.ok}/{cell.planned}"
    for name in outcome.headline:
        estimate = cell.metrics.get(name)
        yield numbers.quantity(name, estimate, outcome.own) if estimate else "-"
    yield " ".join(map(str, cell.subflows)) or "-"
    yield " ".join(cell.congestion) or "-"
    yield " ".join(cell.engines) or "-"


def _relative(cell: CellOutcome) -> str:
    return numbers.times(cell.relative) if cell.relative else "-"


def _parameters(of: Sequence[CellOutcome] | Sequence[RunRecord]) -> list[str]:
    """Return the names of all parameters. Some cells lack those that are options of stacks."""
    return list(dict.fromkeys(name for each in of for name in each.parameters))


def _values(of: CellOutcome | RunRecord, parameters: Sequence[str]) -> list[str]:
    return [str(of.parameters[name]) if name in of.parameters else "-" for name in parameters]


def _problem(problem: Problem) -> str:
    return f"run {problem.run:04d}, {problem.stack}: {problem.reason}"


def _print_line(console: Console, word: Verdict | Status, text: str) -> None:
    from rich.text import Text

    console.print(Text(word, COLOURS[word]), f": {text}", sep="", soft_wrap=True)


def _metric(run: RunRecord, name: str, own: Mapping[str, Metric]) -> str:
    value = run.metrics.get(name)
    return "-" if value is None else numbers.number(name, value, None, own)
