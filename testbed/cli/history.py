"""`testbed history`: one experiment through many result folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from testbed.cli.compare import Metrics, Threshold
from testbed.cli.options import Json, metric_names
from testbed.cli.output import console, print_json, write_file

if TYPE_CHECKING:
    from testbed.analysis.history import History, Line

_BARS: Final = "▁▂▃▄▅▆▇█"


def command(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Result folders, or parents of them.")
    ],
    metrics: Metrics = None,
    threshold: Threshold = None,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Also draw it as SVG.")
    ] = None,
    json: Json = False,
) -> None:
    """Show how the numbers of an experiment changed over time.

    The folders are of one experiment, from different commits, kernels or days. They are sorted by
    the time at which they were made.

        testbed history results/quickstart

        testbed history --metrics goodput,rtt_p95 --svg goodput.svg results/quickstart/2026*

    It needs `pip install 'testbed[history]'`.
    """
    from testbed.analysis.history import history
    from testbed.campaign.sides import of_folder

    chosen = metric_names(metrics)
    found = history(
        [of_folder(path, chosen) for path in _result_folders(folders)], chosen, threshold
    )
    if svg is not None:
        from testbed.report import trend

        write_file(svg, trend.svg(found))
    if json:
        print_json(found)
    else:
        _print(found)


def _result_folders(paths: list[Path]) -> list[Path]:
    """Return result folders, with any other folder replaced by the result folders in it."""
    found: list[Path] = []
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112 - also of names that are too long
            found.append(path)  # its reader reports the error
            continue
        below = sorted(each.parent for each in path.glob("*/experiment.json"))
        found += [path] if (path / "experiment.json").exists() or not below else below
    return found


def _print(found: History) -> None:
    from rich.table import Table
    from rich.text import Text

    from testbed.analysis import numbers, wording
    from testbed.cli.tables import COLOURS, print_table
    from testbed.report.trend import named

    out = console()
    for line in found.lines:
        out.print(f"{found.experiment}: {named(line)}  {sparkline(line)}", style="bold")
        table = Table(box=None, pad_edge=False)
        for column in ("made", "commit", "machine", "kernel", line.metric, "change", ""):
            table.add_column(column)
        for point in line.points:
            change = point.change
            table.add_row(
                point.at[:16].replace("T", " "),
                "-" if point.commit is None else point.commit[:9] + "+" * ("+" in point.commit),
                point.machine,
                point.kernel,
                "-" if point.estimate is None else numbers.quantity(line.metric, point.estimate),
                "" if change is None else wording.relative(change),
                "" if change is None else Text(change.verdict, COLOURS[change.verdict]),
            )
        print_table(out, table)
        out.print()


def sparkline(line: Line) -> str:
    """Return a line of bars, lowest for the smallest mean; folders without numbers are gaps."""
    means = [None if it.estimate is None else it.estimate.mean for it in line.points]
    there = [mean for mean in means if mean is not None]
    low, high = (min(there), max(there)) if there else (0.0, 0.0)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if mean is None else _BARS[round((mean - low) * scale)] for mean in means)
