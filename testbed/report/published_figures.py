"""Figures of publications in their original form, with marks at the published values."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from testbed.analysis.numbers import number
from testbed.analysis.registry import metric_of
from testbed.analysis.statistics import Ratio, ratio
from testbed.metric import Unit
from testbed.papers import load
from testbed.papers.load import Paper
from testbed.papers.measured import Measured, MeasuredCell, MeasuredSide
from testbed.papers.spec import FigureSpec
from testbed.report.axes import Axis, axis, decades
from testbed.report.blocks import Figure
from testbed.report.svg import Drawing, Point, steps, style, width_of
from testbed.results.model import Scalar

_WIDTH: Final = 640.0
_LEFT: Final = 64.0
_RIGHT: Final = 12.0
_BOTTOM: Final = 60.0
_ROW: Final = 16.0  # the height of a row of a legend
_HEIGHT: Final = 220.0
_SHADES: Final = 10  # the shades of heat maps, see assets/page.css


class Datum(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of an experiment in a figure.

    :param x: the horizontal position, as text; ``y`` is the vertical position.
    :param published: the published values with their labels.
    """

    stack: str
    x: str
    y: str
    value: Ratio
    published: tuple[tuple[str, float], ...]


def data(paper: Paper, values: Measured, figure: FigureSpec) -> list[Datum]:
    """Return the data of a figure, measured and published."""
    return [
        Datum(
            stack=cell.stack,
            x=_text(cell, figure.x),
            y=_text(cell, figure.y),
            value=value,
            published=tuple(_published(paper, figure, cell)),
        )
        for side in values.sides
        if side.experiment == figure.experiment
        for cell in side.cells
        if figure.where.items() <= cell.parameters.items()
        and (not figure.stacks or cell.stack in figure.stacks)
        and (value := _value(side, cell, figure)) is not None
    ]


def _value(side: MeasuredSide, cell: MeasuredCell, figure: FigureSpec) -> Ratio | None:
    """Return the mean of a cell, or its ratio to the mean of another stack."""
    mine = cell.values.get(figure.metric)
    if not mine:
        return None
    if figure.benefit_over:
        return _benefit(side, cell, figure)
    if not figure.bases:
        return ratio(mine, ())
    for other in side.cells:
        if other.stack in figure.bases and other.parameters == cell.parameters:
            base = other.values.get(figure.metric, ())
            return ratio(mine, [base]) if other is not cell and any(base) else None
    return None


def _benefit(side: MeasuredSide, cell: MeasuredCell, figure: FigureSpec) -> Ratio | None:
    """Return the aggregation benefit: 1 is the sum of the paths, 0 the best path, -1 nothing.

    Of several repetitions the median counts (De Coninck and Bonaventure 2017).
    """
    kept = {name: value for name, value in cell.parameters.items() if name != figure.paths}
    alone = [
        statistics.median(mine)
        for other in side.cells
        if other.stack in figure.bases and kept.items() <= other.parameters.items()
        if (mine := other.values.get(figure.metric))
    ]
    if len(alone) < 2 or cell.stack in figure.bases:
        return None
    best, reached = max(alone), statistics.median(cell.values[figure.metric])
    room = sum(alone) - best if reached >= best else best
    return Ratio(value=(reached - best) / room, interval=None) if room else None


def _text(cell: MeasuredCell, name: str | None) -> str:
    value: Scalar = "" if name is None else cell.parameters.get(name, "")
    return str(value)


def _published(paper: Paper, figure: FigureSpec, cell: MeasuredCell) -> Iterator[tuple[str, float]]:
    for value in paper.published.values:
        if (
            value.experiment == figure.experiment
            and value.metric == figure.metric
            and value.bases == figure.bases
            and cell.stack in value.stacks
            and value.parameters.items() <= cell.parameters.items()
        ):
            yield value.label, load.number(value)


def drawn(paper: Paper, values: Measured, figure: FigureSpec) -> Figure:
    """Return a figure as a drawing."""
    found = data(paper, values, figure)
    if not found:
        empty = Drawing.sized(_WIDTH, 40, figure.title)
        empty.text(0, 24, "nothing was measured", "tick")
        return Figure(figure.title, str(empty))
    draw = {"bars": _bars, "cdf": _cdf, "lines": _lines, "heatmap": _heatmap}[figure.form]
    marked = any(datum.published for datum in found) or bool(figure.points)
    marks = ("black lines and diamonds are published values",) if marked else ()
    return Figure(figure.title, draw(figure, found), marks)


class _Frame:
    """A drawing with axes and, unless ``bare``, a legend of stacks."""

    span: Final = _WIDTH - _LEFT - _RIGHT

    def __init__(
        self,
        figure: FigureSpec,
        found: Sequence[Datum],
        *,
        up: Axis | None = None,
        bare: bool = False,
    ) -> None:
        self.stacks = [*dict.fromkeys(datum.stack for datum in found)]
        legend = [] if bare else self.stacks
        self.top = 26 + _ROW * len(legend)
        self.drawing = Drawing.sized(_WIDTH, self.top + _HEIGHT + _BOTTOM, figure.title)
        self.unit: Unit = "1" if figure.bases else metric_of(figure.metric).unit
        heights = [edge for datum in found for edge in _edges(datum)]
        self.up = up or axis(max(heights), self.unit, low=min(0.0, *heights), count=5)
        name = figure.shown if up is None else "share of the cells"
        self.drawing.text(0, 12, f"{name}{_in(self.up)}", "title")
        for index, stack in enumerate(legend):
            y = 22 + index * _ROW
            self.drawing.rectangle((_LEFT, y), (12, 8), f"area {style(index)}")
            self.drawing.text(_LEFT + 18, y + 8, stack, "tick")
        for tick, text in self.up.ticks:
            self.drawing.line((_LEFT, self.y(tick)), (_LEFT + self.span, self.y(tick)), "grid")
            self.drawing.text(_LEFT - 6, self.y(tick) + 3.5, text, "tick", "end")

    @property
    def bottom(self) -> float:
        """The position of the horizontal axis."""
        return self.top + _HEIGHT

    def y(self, value: float) -> float:
        """Return the vertical position of a value."""
        return self.top + (1 - self.up.place(value)) * _HEIGHT

    def below(self, x: float, text: str, row: int = 0) -> None:
        """Write a text below the axis."""
        self.drawing.text(x, self.bottom + 15 + 15 * row, text, "tick", "middle")

    def mark(self, at: Point, text: str) -> None:
        """Mark a published value."""
        of = self.drawing.group(f"published: {text}")
        x, y = at
        of.path(f"M{x - 5:.1f} {y:.1f}l5 -5l5 5l-5 5z", "published")


def _edges(datum: Datum) -> list[float]:
    ends = datum.value.interval
    spread = [] if ends is None else [ends.low, ends.high]
    return [datum.value.value, *spread, *(value for _, value in datum.published)]


def _in(of: Axis) -> str:
    return f", {of.unit}" if of.unit else ""


def _bars(figure: FigureSpec, found: Sequence[Datum]) -> str:
    groups = [*dict.fromkeys(datum.x for datum in found)]
    wide = _Frame.span / len(groups)
    stacks = {datum.stack for datum in found}
    bar = wide * 0.8 / len(stacks)
    named = figure.x is None and all(width_of(stack) < bar for stack in stacks)
    frame = _Frame(figure, found, bare=named)
    for index, group in enumerate(groups):
        start = _LEFT + index * wide + wide * 0.1
        for row, line in enumerate(_lines_of(group, wide)):
            frame.below(start + wide * 0.4, line, row)
        for datum in (it for it in found if it.x == group):
            place = frame.stacks.index(datum.stack)
            _bar(frame, datum, (start + place * bar, bar * 0.9), style(place))
            middle = start + (place + 0.45) * bar
            if named:
                frame.below(middle, datum.stack)
            said = number(None if figure.bases else figure.metric, datum.value.value, None)
            if width_of(said) < bar:
                frame.drawing.text(middle, frame.bottom - 5, said, "value", "middle")
    if figure.x is not None:
        frame.below(_LEFT + frame.span / 2, figure.across, 2)
    return str(frame.drawing)


def _bar(frame: _Frame, datum: Datum, across: tuple[float, float], classes: str) -> None:
    left, wide = across
    zero, height = frame.y(0.0), frame.y(datum.value.value)
    metric = f"{datum.stack} {datum.x}: {datum.value.value:.4g}"
    of = frame.drawing.group(metric)
    of.rectangle((left, min(zero, height)), (wide, abs(zero - height)), f"area {classes}")
    ends = datum.value.interval
    if ends is not None and ends.low != ends.high:
        middle = left + wide / 2
        of.line((middle, frame.y(ends.low)), (middle, frame.y(ends.high)), "mean")
    for text, value in datum.published:
        inner = frame.drawing.group(f"published: {text}")
        inner.line((left - 2, frame.y(value)), (left + wide + 2, frame.y(value)), "mean")
        frame.mark((left + wide / 2, frame.y(value)), text)


def _cdf(figure: FigureSpec, found: Sequence[Datum]) -> str:
    share = axis(1.0, "1", count=4)
    frame = _Frame(figure, found, up=share)
    values = [datum.value.value for datum in found]
    values += [value for datum in found for _, value in datum.published]
    values += [point.value for point in figure.points]
    low, high = min(values), max(values)
    if figure.logarithmic and low > 0:
        across = decades(low, high, frame.unit)
    else:
        across = axis(high, frame.unit, low=low if low < 0 else 0.0, count=6)

    def x(value: float) -> float:
        return _LEFT + across.place(value) * frame.span

    _ticks(frame, across, x, figure.shown)
    if low < 0 < high:
        frame.drawing.line((x(0), frame.top), (x(0), frame.bottom), "event")
    for index, stack in enumerate(frame.stacks):
        ordered = sorted(datum.value.value for datum in found if datum.stack == stack)
        corners = [(across.low, 0.0)]
        corners += [(value, (n + 1) / len(ordered)) for n, value in enumerate(ordered)]
        corners.append((across.high, 1.0))
        points = [(x(value), frame.y(part)) for value, part in corners]
        frame.drawing.lines(steps(points), f"line {style(index)}")
    for datum in found:
        for text, value in datum.published:
            frame.mark((x(value), frame.y(0.5)), text)
    for point in figure.points:
        frame.mark((x(point.value), frame.y(point.share)), point.label)
        frame.drawing.text(x(point.value) + 9, frame.y(point.share) + 4, point.label, "tick")
    return str(frame.drawing)


def _lines(figure: FigureSpec, found: Sequence[Datum]) -> str:
    frame = _Frame(figure, found)
    places = [*dict.fromkeys(datum.x for datum in found)]

    def x(text: str) -> float:
        return _LEFT + (places.index(text) + 0.5) / len(places) * frame.span

    for text in places:
        frame.below(x(text), _cut(text, frame.span / len(places)))
    frame.below(_LEFT + frame.span / 2, figure.across, 1)
    for index, stack in enumerate(frame.stacks):
        mine = [datum for datum in found if datum.stack == stack]
        points = [(x(datum.x), frame.y(datum.value.value)) for datum in mine]
        frame.drawing.lines(points, f"line {style(index)}")
        for datum, at in zip(mine, points, strict=True):
            frame.drawing.dot(at, 3, f"dot {style(index)}")
            ends = datum.value.interval
            if ends is not None and ends.low != ends.high:
                frame.drawing.line((at[0], frame.y(ends.low)), (at[0], frame.y(ends.high)), "mean")
            for text, value in datum.published:
                frame.mark((at[0], frame.y(value)), text)
    return str(frame.drawing)


def _heatmap(figure: FigureSpec, found: Sequence[Datum]) -> str:
    """Draw one map for each stack, one below the other, with common shades."""
    stacks = [*dict.fromkeys(datum.stack for datum in found)]
    xs = [*dict.fromkeys(datum.x for datum in found)]
    ys = [*dict.fromkeys(datum.y for datum in found)]
    label = 20 + max(width_of(text) for text in ys)
    wide, high, head = min(90.0, (_WIDTH - label) / len(xs)), 24.0, 40.0
    each = head + high * len(ys) + 8
    rows = figure.y_label or figure.y
    heads = [f"{it}: {figure.shown}, {rows} down, {figure.across} across" for it in stacks]
    across = max(label + wide * len(xs), 1.15 * max(map(width_of, heads)))  # headings are bold
    drawing = Drawing.sized(across, each * len(stacks), figure.title)
    values = [datum.value.value for datum in found]
    low, span = min(values), (max(values) - min(values)) or 1.0
    for index, stack in enumerate(stacks):
        top = index * each
        drawing.text(0, top + 14, heads[index], "title")
        for place, text in enumerate(xs):
            middle = label + (place + 0.5) * wide
            drawing.text(middle, top + head - 6, _cut(text, wide), "tick", "middle")
        for place, text in enumerate(ys):
            drawing.text(label - 6, top + head + (place + 0.65) * high, text, "tick", "end")
        for datum in (it for it in found if it.stack == stack):
            left, down = label + xs.index(datum.x) * wide, top + head + ys.index(datum.y) * high
            shade = min(_SHADES - 1, int((datum.value.value - low) / span * _SHADES))
            of = drawing.group(
                "; ".join(f"published {text}: {v:.4g}" for text, v in datum.published)
            )
            of.rectangle((left, down), (wide - 1, high - 1), f"heat h{shade}")
            said = number(None if figure.bases else figure.metric, datum.value.value, None)
            of.text(left + wide / 2, down + high * 0.65, said, "value", "middle")
    return str(drawing)


def _ticks(frame: _Frame, across: Axis, x: Callable[[float], float], metric: str) -> None:
    for tick, text in across.ticks:
        frame.drawing.line((x(tick), frame.top), (x(tick), frame.bottom), "grid")
        frame.below(x(tick), text)
    frame.below(_LEFT + frame.span / 2, f"{metric}{_in(across)}", 1)


def _lines_of(text: str, width: float) -> list[str]:
    """Wrap a text to at most two lines."""
    lines = textwrap.wrap(text, max(1, int(width / width_of("x")))) or [""]
    return [*lines[:1], *([_cut(" ".join(lines[1:]), width)] if lines[1:] else [])]


def _cut(text: str, width: float) -> str:
    most = max(1, int(width / width_of("x")))
    return text if len(text) <= most else text[: most - 1] + "…"
