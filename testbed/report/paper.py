"""The figures of a report for a paper, drawn by matplotlib: SVG, PDF and PNG.

The files contain no dates, so they can be kept in git: equal folders and equal versions of
matplotlib give equal files. The colours are those of Okabe and Ito (2008), which colour-blind
people can distinguish. Dashes, markers and hatches differ as well, for printers without colour.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from testbed.analysis.numbers import scale, short
from testbed.errors import PlatformError
from testbed.hints import extra
from testbed.report.axes import Axis, axis, parameter, seconds
from testbed.report.figures import INK, Curve, Distribution, Panel, Sweep, Timeline
from testbed.report.plots import NO_RUN, shares
from testbed.report.running import highest
from testbed.report.style import Style
from testbed.text import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS: Final = ("svg", "pdf", "png")
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#666666")
_DASHES: Final = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
_HATCHES: Final = ("", "////", "....", "xxxx")
_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
_FEW: Final = 3  # curves whose names fit side by side in the usual size
_DPI: Final = 300
_NO_DATES: Final[dict[str, dict[str, Any]]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}


def over_time(figures: Sequence[Timeline], style: Style) -> Figure:
    """Draw runs over time: the panels in rows, the runs in columns on the same axes."""
    tops = highest(figures)
    width = style.width if len(figures) == 1 else max(style.width, 3.4 * len(figures))
    height = 1.1 * len(tops) + 0.75
    figure = _figure(width, height)
    grid = figure.subplots(len(tops), len(figures), squeeze=False, sharex=True)
    time = seconds(max(each.end for each in figures))
    for column, run in enumerate(figures):
        panels = {panel.quantity: panel for panel in run.panels}
        for row, (quantity, top) in enumerate(tops.items()):
            axes, panel = grid[row][column], panels.get(quantity)
            if panel is None:
                axes.set_axis_off()
                continue
            _panel(axes, panel, axis(top, panel.unit, count=3), time, style.text + 4)
            for mark in run.marks:
                if mark.letter:
                    axes.axvline(mark.t, color="0.4", linewidth=0.6, linestyle=(0, (4, 3)))
        grid[0][column].annotate(
            clean(run.label),
            (0.5, 1),
            xycoords="axes fraction",
            xytext=(0, style.text * 3.2),
            textcoords="offset points",
            ha="center",
            fontweight="bold",
        )
        grid[-1][column].set_xlabel(f"time, {time.unit}")
        _letters(grid[0][column], run)
    return figure


def strip(figure: Distribution, style: Style) -> Figure:
    """Draw each repetition as a dot, with the mean and its interval."""
    rows = [
        (sample, f"{sample.label}\n{sample.group}" if sample.group else sample.label)
        for sample in figure.samples
    ]
    lines = 2 if any(sample.group for sample in figure.samples) else 1
    drawn = _figure(style.width, (0.1 + 0.15 * lines) * len(rows) + 0.7)
    axes = drawn.subplots()
    values = [value for sample in figure.samples for value in sample.values]
    across = axis(max(0.0, *values), figure.unit, low=min(0.0, *values), count=5)
    for row, (sample, _) in enumerate(rows):
        if sample.mean is None:
            axes.text(0, row, f" {NO_RUN}", va="center", color="0.4")
            continue
        if sample.interval is not None:
            ends = sample.interval.low, sample.interval.high
            axes.plot(ends, (row, row), color="0.75", linewidth=6, solid_capstyle="butt")
        beside = [row + (index % 3 - 1) * 0.16 for index in range(len(sample.values))]
        axes.plot(
            sample.values,
            beside,
            linestyle="none",
            marker=_MARKERS[sample.style % len(_MARKERS)],
            markersize=3,
            color=_colour(sample.style),
        )
        axes.plot((sample.mean, sample.mean), (row - 0.35, row + 0.35), color="black")
    axes.set_yticks(range(len(rows)), [clean(label) for _, label in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x")
    _across(axes, across, figure.metric)
    return drawn


def ecdf(figure: Distribution, style: Style) -> Figure:
    """Draw the empirical distribution functions of the runs."""
    drawn = _figure(style.width, style.width * 0.55)
    axes = drawn.subplots()
    values = [value for sample in figure.samples for value in sample.values]
    low, high = min(values), max(values)
    across = axis(high, figure.unit, low=low if low < 0 or low > high / 2 else 0.0, count=5)
    for sample in figure.samples:
        x, y = shares(sample.values, across)
        curve = Curve(name=sample.label, style=sample.style, x=x, y=y, step=True)
        _line(axes, curve)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel(f"share of {figure.each}s")
    axes.grid()
    axes.legend(loc="best")
    _across(axes, across, figure.metric)
    return drawn


def sweep(figure: Sweep, style: Style) -> Figure:
    """Draw a metric over a parameter: a line for each stack, a bar for each interval."""
    drawn = _figure(style.width, style.width * 0.6)
    axes = drawn.subplots()
    up = axis(figure.high, figure.unit, low=figure.low, count=4)
    across = parameter(figure, (style.text - 1) * 0.6 / 72 / (style.width * 0.8))
    for line in figure.lines:
        drawing: Any = {
            "color": _colour(line.style),
            "linestyle": _DASHES[line.style % len(_DASHES)],
            "marker": _MARKERS[line.style % len(_MARKERS)],
            "markersize": 3,
        }
        for index, part in enumerate(line.parts):
            x = [figure.place(each.x) for each in part]
            means = [each.mean or 0.0 for each in part]
            axes.plot(x, means, label=clean(line.name) if not index else None, **drawing)
            for where, each in zip(x, part, strict=True):
                if each.interval is not None:
                    ends = each.interval.low, each.interval.high
                    axes.plot((where, where), ends, color=_colour(line.style), marker="_")
    axes.set_yticks([tick for tick, _ in up.ticks], [text for _, text in up.ticks])
    axes.set_ylim(up.low, up.high)
    axes.set_ylabel(f"{figure.metric}, {up.unit}" if up.unit else figure.metric)
    axes.grid(axis="y")
    if any(line.parts for line in figure.lines):
        axes.legend(loc="best")
    _across(axes, across, figure.parameter)
    return drawn


def save(figure: Figure, path: Path) -> list[Path]:
    """Write a figure in all formats; ``path`` has no suffix.

    :raises OSError: the figure cannot be written.
    """
    written = []
    for format_ in FORMATS:
        file = path.with_name(f"{path.name}.{format_}")
        figure.savefig(file, format=format_, dpi=_DPI, metadata=_NO_DATES[format_])
        written.append(file)
    return written


@contextlib.contextmanager
def styled(style: Style) -> Iterator[None]:
    """Set the style of figures that the block draws and saves.

    :raises PlatformError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an extra
    except ImportError:
        raise PlatformError(
            "matplotlib is not installed",
            why="figures for papers are drawn with it",
            instead=extra("figures"),
        ) from None
    settings: Any = {
        "font.family": "DejaVu Sans",  # part of matplotlib: the same everywhere
        "font.size": style.text,
        "axes.labelsize": style.text,
        "xtick.labelsize": style.text - 1,
        "ytick.labelsize": style.text - 1,
        "legend.fontsize": style.text - 1,
        "legend.frameon": False,
        "legend.handlelength": 2.4,
        "lines.linewidth": 1.0,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "grid.linewidth": 0.4,
        "grid.color": "0.85",
        "hatch.linewidth": 0.4,
        "pdf.fonttype": 42,  # TrueType: publishers refuse Type 3
        "svg.hashsalt": "testbed",
        "text.parse_math": False,  # a dollar sign in a name is no markup
        "text.usetex": False,
    }
    with mpl.rc_context(settings):
        yield


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    return Figure(figsize=(width, height), layout="constrained")


def _panel(axes: Axes, panel: Panel, up: Axis, time: Axis, pad: float) -> None:
    if panel.stacked and panel.curves:
        _stack(axes, panel.curves)
    for curve in panel.over if panel.stacked else (*panel.curves, *panel.over):
        _line(axes, curve)
    unit = f", {up.unit}" if up.unit else ""
    name = f"{panel.quantity}{unit}"
    axes.set_title(name, loc="left", fontsize="medium", pad=pad)
    axes.set_yticks([tick for tick, _ in up.ticks], [text for _, text in up.ticks])
    axes.set_ylim(up.low, up.high)
    axes.set_xticks([tick for tick, _ in time.ticks], [text for _, text in time.ticks])
    axes.set_xlim(time.low, time.high)
    axes.grid(axis="y")
    legend = axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=4,
        borderaxespad=0.1,
        borderpad=0,
        columnspacing=0.7,
        handlelength=1.5,
        handletextpad=0.3,
        fontsize="x-small" if len(panel.curves) > _FEW else None,
    )
    legend.set_in_layout(False)  # the legend may be wider than a narrow panel
    if panel.largest > up.high:
        _cut(axes, panel)


def _cut(axes: Axes, panel: Panel) -> None:
    """Mark the place where curves are cut off at the upper edge, with the highest value."""
    peak = max((*panel.curves, *panel.over), key=lambda curve: max(curve.y))
    factor, unit = scale(panel.unit, panel.largest)
    axes.annotate(
        f"\N{BLACK UP-POINTING TRIANGLE} up to {short(panel.largest / factor)} {unit}",
        (peak.x[peak.y.index(max(peak.y))], 0.97),
        xycoords=("data", "axes fraction"),
        ha="right" if peak.x[peak.y.index(max(peak.y))] > peak.x[-1] / 2 else "left",
        va="top",
        fontsize="x-small",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
    )


def _stack(axes: Axes, curves: Sequence[Curve]) -> None:
    below = [0.0] * len(curves[0].x)
    for curve in curves:
        above = [low + y for low, y in zip(below, curve.y, strict=True)]
        axes.fill_between(
            curve.x,
            below,
            above,
            step="post",
            label=clean(curve.name),
            facecolor=_colour(curve.style),
            alpha=0.6,
            edgecolor="black",
            linewidth=0,
            hatch=_HATCHES[curve.style % len(_HATCHES)],
        )
        below = above


def _line(axes: Axes, curve: Curve) -> None:
    axes.plot(
        curve.x,
        curve.y,
        drawstyle="steps-post" if curve.step else "default",
        color=_colour(curve.style),
        linestyle=_DASHES[0 if curve.style == INK else curve.style % len(_DASHES)],
        linewidth=0.8 if curve.style == INK else 1.0,
        label=clean(curve.name),
    )


def _letters(axes: Axes, run: Timeline) -> None:
    for mark in run.marks:
        if mark.letter:
            axes.annotate(
                mark.letter,
                (mark.t, 1),
                xycoords=("data", "axes fraction"),
                ha="left",
                va="top",
                xytext=(2, 0),
                textcoords="offset points",
                fontsize="small",
            )


def _across(axes: Axes, across: Axis, metric: str) -> None:
    axes.set_xticks([tick for tick, _ in across.ticks], [clean(text) for _, text in across.ticks])
    axes.set_xlim(across.low, across.high)
    axes.set_xlabel(f"{metric}, {across.unit}" if across.unit else metric)


def _colour(style: int) -> str:
    return "black" if style == INK else _COLOURS[style % len(_COLOURS)]
