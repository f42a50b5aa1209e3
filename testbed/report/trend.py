"""Draws the numbers of an experiment through many folders."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from testbed.analysis.history import History, Line
from testbed.errors import PlatformError
from testbed.hints import extra
from testbed.text import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def svg(found: History) -> str:
    """Draw a panel for each line: means with their intervals, and marks at changes.

    :raises PlatformError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise PlatformError(
            f"{error.name} is not installed",
            why="it draws the plot",
            instead=extra("history"),
        ) from error
    figure = Figure(figsize=(7, 2.2 * len(found.lines)), layout="constrained")
    panels = figure.subplots(len(found.lines), 1, squeeze=False, sharex=True)
    for axes, line in zip(panels[:, 0], found.lines, strict=True):
        _means(axes, line)
        axes.set_title(clean(named(line)), fontsize="small", parse_math=False)
        axes.set_ylabel(line.unit)
        axes.set_xticks(
            range(len(line.points)),
            [it.at[:10] for it in line.points],
            rotation=30,
            fontsize="x-small",
        )
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()


def named(line: Line) -> str:
    """Return the metric, the stack and the parameters of a line, in words."""
    values = ", ".join(f"{name} = {value}" for name, value in line.parameters.items())
    return f"{line.metric} of {line.stack}" + (f" ({values})" if values else "")


def _means(axes: Axes, line: Line) -> None:
    there = [(x, it.estimate) for x, it in enumerate(line.points) if it.estimate is not None]
    errors = [
        (0.0, 0.0)
        if it.interval is None
        else (it.mean - it.interval.low, it.interval.high - it.mean)
        for _, it in there
    ]
    axes.errorbar(
        [x for x, _ in there],
        [it.mean for _, it in there],
        yerr=[[below for below, _ in errors], [above for _, above in errors]],
        fmt="o-",
        markersize=3,
        linewidth=1,
        capsize=2,
    )
    for x, point in enumerate(line.points):
        if point.change is not None:
            axes.axvline(x - 0.5, linestyle="--", linewidth=1, color="tab:red")
