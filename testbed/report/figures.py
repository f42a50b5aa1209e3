"""The content of figures as values, for pages, papers and tables of data.

Every value has the unit of the registry: bit/s, seconds, octets, or a count.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from testbed.analysis.statistics import Interval
from testbed.metric import Unit

RUN: Final = "run"
INK: Final = -1  # the style with the colour of text


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """One curve.

    :param style: the number of its colour and dash. An object has the same style in all figures.
    :param x: times in seconds from the start of the workload, in ascending order.
    :param step: whether a value holds until the next one.
    """

    name: str
    style: int
    x: tuple[float, ...]
    y: tuple[float, ...]
    step: bool = False


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """Curves of one quantity over time.

    :param stacked: whether the curves are stacked areas, with equal ``x``. The curves in ``over``
        are lines on top of them.
    :param limit: the upper limit of the axis. Values above it are cut off and marked.
    :param note: a note about omitted curves.
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
        """The upper end of the axis."""
        largest = self.largest
        return largest if self.limit is None else min(self.limit, largest)

    @property
    def largest(self) -> float:
        """The largest value."""
        heights = [max(curve.y, default=0.0) for curve in (*self.over, *self.curves)]
        if self.stacked and self.curves:
            sums = map(sum, zip(*(curve.y for curve in self.curves), strict=True))
            heights.append(max(sums, default=0.0))
        return max(heights, default=0.0)


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """An event at a point in time.

    :param letter: the letter of an event of the experiment. Events of path managers have none.
    """

    t: float
    text: str
    letter: str = ""


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """The figure of one run over time.

    :param name: the name of its file.
    :param group: the group of runs that are drawn side by side, on the same axes.
    :param end: the end of the run in seconds.
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
    """The values from the runs of one cell.

    :param group: the parameters of the cell, in words.
    :param mean: the mean, or ``None`` without values.
    """

    label: str
    group: str
    style: int
    values: tuple[float, ...]
    mean: float | None
    interval: Interval | None = None


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """One metric: the values of all repetitions of some cells.

    :param metric: the name of the metric; ``note`` explains the figure.
    :param each: the meaning of one value: a run, or a sample within a run.
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

    :param x: the value of the parameter: seconds, bit/s, octets, a share, or a plain number.
    :param mean: the mean of the runs that count, or ``None`` if none does.
    :param runs: how many of the ``planned`` runs count.
    """

    x: float
    mean: float | None = None
    interval: Interval | None = None
    runs: int
    planned: int

    @property
    def edges(self) -> tuple[float, ...]:
        """All values that the axis must include."""
        if self.mean is None:
            return ()
        ends = () if self.interval is None else (self.interval.low, self.interval.high)
        return self.mean, *ends


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """The line of one stack. It has a gap at each point without a mean."""

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
    """One metric over a parameter of the matrix. The other parameters are fixed.

    :param group: the other parameters, in words.
    :param values: the values of the parameter in ascending order; ``written`` holds their texts in
        the experiment.
    :param low: the lower end of the metric's axis; ``high`` is the smallest upper end. Both are
        equal for all groups.
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
        """The content of the figure, in words."""
        return f"{self.metric} over {self.parameter}" + (f", {self.group}" if self.group else "")

    def place(self, value: float) -> float:
        """Return the position of a value of the parameter on its axis."""
        return math.log10(value) if self.logarithmic else value
