"""The data of figures, as columns and as files in CSV and Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from testbed.errors import PlatformError
from testbed.hints import extra
from testbed.replacing import replace_file
from testbed.report.figures import Distribution, Sweep, Timeline

Columns = dict[str, list[Any]]


def of_timelines(figures: Sequence[Timeline]) -> Columns:
    """Return one row for each point of each curve; values in ``unit``, times in seconds."""
    columns: Columns = {
        name: [] for name in ("run", "stack", "quantity", "unit", "curve", "t_s", "value")
    }
    for figure in figures:
        for panel in figure.panels:
            for curve in (*panel.curves, *panel.over):
                for t, value in zip(curve.x, curve.y, strict=True):
                    row = figure.run, figure.label, panel.quantity, panel.unit, curve.name, t, value
                    for column, cell in zip(columns.values(), row, strict=True):
                        column.append(cell)
    return columns


def of_distribution(figure: Distribution) -> Columns:
    """Return one row for each value."""
    rows = [
        (sample.label, sample.group, value) for sample in figure.samples for value in sample.values
    ]
    return {
        "metric": [figure.metric] * len(rows),
        "unit": [figure.unit] * len(rows),
        "stack": [row[0] for row in rows],
        "parameters": [row[1] for row in rows],
        "value": [row[2] for row in rows],
    }


def of_sweeps(figures: Sequence[Sweep]) -> Columns:
    """Return one row for each cell. Missing values are empty."""
    rows = []
    for figure in figures:
        texts = dict(zip(figure.values, figure.written, strict=True))
        for line in figure.lines:
            for each in line.points:
                ends = each.interval
                low, high = (None, None) if ends is None else (ends.low, ends.high)
                place = figure.parameter, texts[each.x], each.x, figure.group
                mean = each.mean, low, high, each.runs, each.planned
                rows.append((figure.metric, figure.unit, line.name, *place, *mean))
    place_names = ("metric", "unit", "stack", "parameter", "value", "number", "others")
    names = (*place_names, "mean", "low", "high", "runs", "planned")
    return {name: [row[index] for row in rows] for index, name in enumerate(names)}


def save(columns: Columns, path: Path) -> list[Path]:
    """Write columns as CSV and Parquet; ``path`` has no suffix.

    :raises PlatformError: pyarrow is not installed.
    :raises OSError: a file cannot be written.
    """
    try:
        import pyarrow  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise PlatformError(
            "pyarrow is not installed",
            why="Parquet files are written with it",
            instead=extra("figures"),
        ) from None
    files = [path.with_name(f"{path.name}.{suffix}") for suffix in ("csv", "parquet")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    replace_file(files[0], text.getvalue())
    parquet.write_table(pyarrow.table(columns), files[1])
    return files
