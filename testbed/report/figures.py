"""The content of figures, as values.  Pages, papers and tables of data are made of the same ones.

Every value is in the unit of the registry: bit/s, seconds, octets, or a count.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from testbed.analysis.statistics import Interval
from testbed.metric import Unit

RUN: Final = "run"
INK: Final = -1  # the style of marks in the colour of text


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """One curve.

    :param style: the number of its colour and dash: equal for the same thing in all figures.
    :param x: seconds from the start of the workload, never falling.
    :param step: a value holds until the next one.
    """

    name: str
    style: int
    x: tuple[float, ...]
    y: tuple[float, ...]
    step: bool = False


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """Curves of one quantity over time.

    :param stacked: areas on top of one another, on common ``x``; a curve in ``over`` is drawn as
        a line across them.
    :param limit: where the axis ends at most: the few values above are cut off, and marked.
    :param note: what is left out.
    """

    quantity: str
    unit: Unit
    curves: tuple[Curve, ...]
    stacked: bool = False
    over: tuple[Curve, ...] = ()
    limit: float | None = None
    note: str = ""

    @property
    def top(self) -> float:
        """Where the axis has to end."""
        largest = self.largest
        return largest if self.limit is None else min(self.limit, largest)

    @property
    def largest(self) -> float:
        """The largest value there is."""
        heights = [max(curve.y, default=0.0) for curve in (*self.over, *self.curves)]
        if self.stacked and self.curves:
            sums = map(sum, zip(*(curve.y for curve in self.curves), strict=True))
            heights.append(max(sums, default=0.0))
        return max(heights, default=0.0)


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened at a moment.

    :param letter: of an event; what a path manager tells has none.
    """

    t: float
    text: str
    letter: str = ""


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """One run over time.

    :param name: of its file.
    :param group: equal for runs that are drawn side by side, on the same axes.
    :param end: seconds.
    """

    name: str
    group: str
    run: int
    label: str
    status: str
    panels: tuple[Panel, ...]
    marks: tuple[Mark, ...]
    end: float


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The values that the runs of one cell gave.

    :param group: what the cell's parameters are, in words.
    :param mean: ``None`` where there is no value.
    """

    label: str
    group: str
    style: int
    values: tuple[float, ...]
    mean: float | None
    interval: Interval | None = None


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """One metric: every repetition of some cells.

    :param metric: its name; ``note`` says what one must know to read it.
    :param each: what one value is: a run, or a sample within one.
    """

    name: str
    metric: str
    unit: Unit
    definition: str
    samples: tuple[Sample, ...]
    each: str = RUN
    note: str = ""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of one cell.

    :param x: the parameter: seconds, bit/s, octets, a share, or a plain number.
    :param mean: of the runs that count; ``None``: none does.
    :param runs: how many count, of the ``planned`` ones.
    """

    x: float
    mean: float | None = None
    interval: Interval | None = None
    runs: int
    planned: int

    @property
    def edges(self) -> tuple[float, ...]:
        """All values that an axis must hold."""
        if self.mean is None:
            return ()
        ends = () if self.interval is None else (self.interval.low, self.interval.high)
        return self.mean, *ends


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One stack; it is broken where a point has no mean."""

    name: str
    style: int
    points: tuple[Point, ...]

    @property
    def parts(self) -> tuple[tuple[Point, ...], ...]:
        """The points between the gaps."""
        parts: list[list[Point]] = [[]]
        for point in self.points:
            if point.mean is None:
                parts.append([])
            else:
                parts[-1].append(point)
        return tuple(tuple(part) for part in parts if part)


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """One metric over a parameter of the matrix, the others having one value.

    :param group: what the other parameters are, in words.
    :param values: those of the parameter, rising; ``written`` as they are in the experiment.
    :param low: where the axis of the metric begins, and ``high`` where it ends, at least: equal
        for all groups.
    """

    name: str
    metric: str
    unit: Unit
    parameter: str
    group: str
    values: tuple[float, ...]
    written: tuple[str, ...]
    logarithmic: bool
    low: float
    high: float
    lines: tuple[Line, ...]

    @property
    def title(self) -> str:
        """Its content, in words."""
        return f"{self.metric} over {self.parameter}" + (f", {self.group}" if self.group else "")

    def place(self, value: float) -> float:
        """Return where a value of the parameter stands on its axis."""
        return math.log10(value) if self.logarithmic else value
