"""Figures as SVG, for pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from testbed.analysis.numbers import scale, short
from testbed.report.axes import Axis, axis, parameter, seconds
from testbed.report.figures import INK, Curve, Distribution, Line, Panel, Sample, Sweep, Timeline
from testbed.report.svg import Drawing, Point, steps, style, width_of

_WIDTH: Final = 560.0
_LEFT: Final = 52.0
_RIGHT: Final = 10.0
_LANE: Final = 26.0  # the space for marks above the panels
_HEAD: Final = 46.0  # the title and the legend of a panel
_PANEL: Final = 84.0
_FOOT: Final = 36.0
_ROW: Final = 18.0
_LABEL: Final = 300.0  # the largest width of labels
NO_RUN: Final = "no run counts"


def timeline(figure: Timeline, tops: Mapping[str, float], end: float) -> str:
    """Draw a run over time, with one panel below the other.

    :param tops: the smallest upper end of the axis of each quantity, so that runs side by side have
        equal axes; ``end`` is that of the time axis. A quantity that this run lacks leaves a gap.
    """
    height = _LANE + len(tops) * (_HEAD + _PANEL) + _FOOT
    quantities = ", ".join(panel.quantity.lower() for panel in figure.panels)
    title = f"Run {figure.run:04d}, {figure.label}, over time: {quantities}"
    drawing = Drawing.sized(_WIDTH, height, title)
    time = seconds(end)
    places = {quantity: index for index, quantity in enumerate(tops)}
    _marks(drawing, figure, time, [places[panel.quantity] for panel in figure.panels])
    for panel in figure.panels:
        top = _LANE + places[panel.quantity] * (_HEAD + _PANEL) + _HEAD
        high = max(tops[panel.quantity], panel.top)
        frame = _Frame(drawing, (_LEFT, top), (_WIDTH - _LEFT - _RIGHT, _PANEL), time)
        frame.panel(panel, axis(high, panel.unit, count=3))
    for quantity in [name for name in tops if name not in {it.quantity for it in figure.panels}]:
        top = _LANE + places[quantity] * (_HEAD + _PANEL) + _HEAD
        drawing.text(_LEFT, top - 21, quantity, "title")
        drawing.text(_LEFT, top - 5, "this run has none", "tick")
    for tick, text in time.ticks:
        x = _LEFT + time.place(tick) * (_WIDTH - _LEFT - _RIGHT)
        drawing.text(x, height - _FOOT + 15, text, "tick", "middle")
    middle = _LEFT + (_WIDTH - _LEFT - _RIGHT) / 2
    name = f"Time since the workload began, {time.unit}"
    drawing.text(middle, height - 5, name, "label", "middle")
    return str(drawing)


def _marks(drawing: Drawing, figure: Timeline, time: Axis, panels: Sequence[int]) -> None:
    """Mark events above and in the panels, but not across their titles."""
    across = _WIDTH - _LEFT - _RIGHT
    for mark in figure.marks:
        x = _LEFT + time.place(mark.t) * across
        of = drawing.group(f"{mark.t:.3f} s: {mark.text}")
        if mark.letter:
            for index in panels:
                top = _LANE + index * (_HEAD + _PANEL) + _HEAD
                of.line((x, top), (x, top + _PANEL), "event")
            of.text(x, _LANE - 12, mark.letter, "letter", "middle")
        else:
            of.path(f"M{x - 3:.1f} {_LANE - 4:.1f}h6l-3 6z", "told")


class _Frame:
    """A rectangle with axes, in which curves are drawn."""

    def __init__(self, drawing: Drawing, corner: Point, size: Point, across: Axis) -> None:
        self._drawing = drawing
        self._x, self._y = corner
        self._width, self._height = size
        self._across = across

    def panel(self, panel: Panel, up: Axis) -> None:
        """Draw curves over time."""
        unit = f", {up.unit}" if up.unit else ""
        note = f" ({panel.note})" if panel.note else ""
        self._drawing.text(self._x, self._y - 21, f"{panel.quantity}{unit}{note}", "title")
        curves = [*panel.curves, *panel.over]
        _legend(self._drawing, (self._x, self._y - 9), self._width, curves, filled=panel.stacked)
        self._grid(up)
        if panel.stacked:
            self._stack(panel.curves, up)
        for curve in panel.over if panel.stacked else curves:
            self._curve(curve, up)
        if panel.largest > up.high:
            self._cut(curves, up, panel)

    def _grid(self, up: Axis) -> None:
        for tick, text in up.ticks:
            y = self._at(0, tick, up)[1]
            self._drawing.line((self._x, y), (self._x + self._width, y), "grid")
            self._drawing.text(self._x - 6, y + 3.5, text, "tick", "end")

    def _stack(self, curves: Sequence[Curve], up: Axis) -> None:
        below = [0.0] * (len(curves[0].x) if curves else 0)
        for curve in curves:
            above = [low + y for low, y in zip(below, curve.y, strict=True)]
            top, bottom = (
                steps(self._at(x, y, up) for x, y in zip(curve.x, level, strict=True))
                for level in (above, below)
            )
            self._drawing.area(top, bottom, f"area {style(curve.style)}")
            below = above

    def _curve(self, curve: Curve, up: Axis) -> None:
        points = [self._at(x, y, up) for x, y in zip(curve.x, curve.y, strict=True)]
        self._drawing.lines(steps(points) if curve.step else points, f"line {style(curve.style)}")

    def _cut(self, curves: Sequence[Curve], up: Axis, panel: Panel) -> None:
        """Mark the place where values are cut off at the upper edge, with the largest value."""
        peak = max(curves, key=lambda curve: max(curve.y))
        x = self._at(peak.x[peak.y.index(max(peak.y))], 0, up)[0]
        factor, unit = scale(panel.unit, panel.largest)
        text = f"up to {short(panel.largest / factor)} {unit}"
        of = self._drawing.group(f"cut off here: {text}")
        of.path(f"M{x - 4:.1f} {self._y + 7:.1f}h8l-4 -7z", "cut")
        left = x > self._x + self._width / 2
        of.text(x - 7 if left else x + 7, self._y + 8, text, "said", "end" if left else "start")

    def _at(self, x: float, y: float, up: Axis) -> Point:
        return (
            self._x + self._across.place(x) * self._width,
            self._y + (1 - min(1.0, up.place(y))) * self._height,
        )


def _legend(
    drawing: Drawing, start: Point, width: float, curves: Iterable[Curve], *, filled: bool
) -> None:
    x, y = start
    end = x + width
    left = [*curves]
    while left:
        curve = left[0]
        wide = 24 + width_of(curve.name)
        if x + wide > end:
            drawing.text(x, y + 3.5, f"and {len(left)} more", "tick")
            return
        left.pop(0)
        if filled and curve.style != INK:
            drawing.rectangle((x, y - 4), (12, 8), f"area {style(curve.style)}")
        else:
            drawing.line((x, y), (x + 14, y), f"line {style(curve.style)}")
        drawing.text(x + 18, y + 3.5, curve.name, "tick")
        x += wide


def strip(figure: Distribution) -> str:
    """Draw each repetition as a dot, one row for each cell, with the mean and its interval."""
    values = [value for sample in figure.samples for value in sample.values]
    low, high = min(0.0, *values), max(0.0, *values)
    across = axis(high, figure.unit, low=low, count=6)
    rows = _rows(figure.samples)
    label = min(_LABEL, 14 + max(width_of(text) for text, _ in rows))
    height = 26 + len(rows) * _ROW + _FOOT
    width = label + 460
    title = f"{figure.metric} of every {figure.each}, by stack and parameters"
    drawing = Drawing.sized(width, height, title)
    bottom, span = height - _FOOT, width - label - 16
    for tick, text in across.ticks:
        x = label + across.place(tick) * span
        drawing.line((x, 14), (x, bottom), "grid")
        drawing.text(x, bottom + 15, text, "tick", "middle")
    unit = f", {across.unit}" if across.unit else ""
    drawing.text(label + span / 2, height - 5, f"{figure.metric}{unit}", "label", "middle")
    for index, (text, sample) in enumerate(rows):
        y = 26 + index * _ROW
        if sample is None:
            drawing.text(0, y + 4, _cut_to(text, label + span), "title")
            continue
        drawing.text(label - 8, y + 4, _cut_to(text, label), "tick", "end")
        _dots(drawing, sample, y, lambda value: label + across.place(value) * span)
    return str(drawing)


def _rows(samples: Sequence[Sample]) -> list[tuple[str, Sample | None]]:
    rows: list[tuple[str, Sample | None]] = []
    group = ""
    for sample in samples:
        if sample.group != group:
            group = sample.group
            rows.append((group, None))
        rows.append((sample.label, sample))
    return rows


def _dots(drawing: Drawing, sample: Sample, y: float, place) -> None:  # type: ignore[no-untyped-def]
    of = drawing.group()
    if sample.mean is None:
        of.text(place(0.0) + 4, y + 4, NO_RUN, "tick")
        return
    if sample.interval is not None:
        ends = place(sample.interval.low), place(sample.interval.high)
        of.line((ends[0], y), (ends[1], y), "interval")
    for index, value in enumerate(sample.values):
        aside = (index % 3 - 1) * 3.5 if len(sample.values) > 1 else 0.0
        of.dot((place(value), y + aside), 2.6, f"dot {style(sample.style)}")
    of.line((place(sample.mean), y - 7), (place(sample.mean), y + 7), "mean")


def ecdf(figure: Distribution) -> str:
    """Draw empirical distribution functions, with a step at each value."""
    values = [value for sample in figure.samples for value in sample.values]
    low, high = min(values), max(values)
    across = axis(high, figure.unit, low=low if low < 0 or low > high / 2 else 0.0, count=5)
    width, height, legend = _WIDTH, 250.0, 20.0
    drawing = Drawing.sized(
        width, height, f"{figure.metric}: share of {figure.each}s up to a value"
    )
    left, top, bottom = _LEFT, 12 + legend, height - _FOOT
    span = width - left - _RIGHT
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = bottom - share * (bottom - top)
        drawing.line((left, y), (left + span, y), "grid")
        drawing.text(left - 6, y + 3.5, f"{share:.2f}", "tick", "end")
    for tick, text in across.ticks:
        drawing.text(left + across.place(tick) * span, bottom + 15, text, "tick", "middle")
    unit = f", {across.unit}" if across.unit else ""
    drawing.text(left + span / 2, height - 5, f"{figure.metric}{unit}", "label", "middle")
    curves = [
        Curve(name=sample.label, style=sample.style, x=x, y=y, step=True)
        for sample in figure.samples
        for x, y in [shares(sample.values, across)]
    ]
    _legend(drawing, (left, 10), span, curves, filled=False)
    for curve in curves:
        points = [
            (left + across.place(x) * span, bottom - y * (bottom - top))
            for x, y in zip(curve.x, curve.y, strict=True)
        ]
        drawing.lines(steps(points), f"line {style(curve.style)}")
    return str(drawing)


def sweep(figure: Sweep) -> str:
    """Draw a metric over a parameter: a line for each stack, a bar for each interval."""
    names = [Curve(name=line.name, style=line.style, x=(), y=()) for line in figure.lines]
    height = 250.0
    drawing = Drawing.sized(_WIDTH, height, figure.title)
    top, bottom = 46.0, height - _FOOT
    span = _WIDTH - _LEFT - _RIGHT
    up = axis(figure.high, figure.unit, low=figure.low, count=4)
    across = parameter(figure, width_of("x") / span)
    unit = f", {up.unit}" if up.unit else ""
    drawing.text(_LEFT, 12, f"{figure.metric}{unit}", "title")
    _legend(drawing, (_LEFT, 28), span, names, filled=False)
    for tick, text in up.ticks:
        y = bottom - up.place(tick) * (bottom - top)
        drawing.line((_LEFT, y), (_LEFT + span, y), "grid")
        drawing.text(_LEFT - 6, y + 3.5, text, "tick", "end")
    for tick, text in across.ticks:
        x = _LEFT + across.place(tick) * span
        drawing.line((x, bottom), (x, bottom + 4), "grid")
        drawing.text(x, bottom + 16, text, "tick", "middle")
    kind = f" ({across.unit})" if across.unit else ""
    drawing.text(_LEFT + span / 2, height - 3, f"{figure.parameter}{kind}", "label", "middle")

    def at(x: float, y: float) -> Point:
        right = _LEFT + across.place(figure.place(x)) * span
        return right, bottom - up.place(y) * (bottom - top)

    for line in figure.lines:
        _means(drawing, line, at)
    return str(drawing)


def _means(drawing: Drawing, line: Line, at: Callable[[float, float], Point]) -> None:
    classes = style(line.style)
    for part in line.parts:
        drawing.lines([at(each.x, each.mean or 0.0) for each in part], f"line {classes}")
        for each in part:
            of = drawing.group(f"{line.name}: {each.runs} of {each.planned} runs count")
            if each.interval is not None:
                ends = at(each.x, each.interval.low), at(each.x, each.interval.high)
                of.line(*ends, f"line bar {classes}")
            of.dot(at(each.x, each.mean or 0.0), 3, f"dot {classes}")


def shares(values: Sequence[float], across: Axis) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the corners of an empirical distribution function, from edge to edge."""
    ordered = sorted(values)
    x = [across.low, *ordered, across.high]
    y = [0.0, *((index + 1) / len(ordered) for index in range(len(ordered))), 1.0]
    return tuple(x), tuple(y)


def _cut_to(text: str, width: float) -> str:
    most = int(width / width_of("x"))
    return text if len(text) <= most else text[: most - 1] + "…"
