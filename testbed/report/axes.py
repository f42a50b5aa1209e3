"""Axes with round ticks, in a unit that suits the values."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from testbed.analysis.numbers import scale, written
from testbed.metric import Unit
from testbed.report.figures import Sweep

_STEPS: Final = (1, 2, 2.5, 5, 10)


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """An axis from ``low`` to ``high``, in the unit of the values.

    :param ticks: the values of the ticks, each with its label.
    :param unit: the unit of the labels; empty for counts.
    :param logarithmic: whether the axis is logarithmic. Then all values are above 0.
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    unit: str
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Return the position of a value, from 0 to 1."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def axis(high: float, unit: Unit, low: float = 0.0, count: int = 4) -> Axis:
    """Return an axis that ends at a tick.

    :param count: the approximate number of steps.
    """
    if not math.isfinite(high) or not math.isfinite(low) or high <= low:
        high = low + (abs(low) or 1.0)
    factor, name = scale(unit, max(abs(high), abs(low)))
    step = _step((high - low) / factor, count)
    first = math.floor(low / factor / step + 1e-9)
    last = math.ceil(high / factor / step - 1e-9)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if step * 10**decimals % 1 > 1e-9:
        decimals += 1
    return Axis(
        low=first * step * factor,
        high=last * step * factor,
        ticks=tuple(
            (n * step * factor, written(n * step, decimals)) for n in range(first, last + 1)
        ),
        unit=name,
    )


def decades(low: float, high: float, unit: Unit) -> Axis:
    """Return a logarithmic axis with ticks at 1, 2 and 5 times powers of ten.

    :param low: the smallest value, above 0.
    """
    factor, name = scale(unit, high)
    first, last = (math.floor(math.log10(end / factor)) for end in (low, high))
    steps = [step * 10.0**power for power in range(first, last + 2) for step in (1, 2, 5)]
    below = [step for step in steps if step * factor <= low * (1 + 1e-9)]
    start = steps.index(below[-1]) if below else 0
    end = next(n for n, step in enumerate(steps) if n > start and step * factor >= high)
    shown = steps[start : end + 1]
    return Axis(
        low=shown[0] * factor,
        high=shown[-1] * factor,
        ticks=tuple((step * factor, f"{step:g}") for step in shown),
        unit=name,
        logarithmic=True,
    )


def seconds(end: float, count: int = 6) -> Axis:
    """Return the time axis from 0 to the end of the run."""
    whole = axis(end, "s", count=count)
    ticks = tuple(tick for tick in whole.ticks if tick[0] <= end * (1 + 1e-9))
    return Axis(low=0.0, high=end or whole.high, ticks=ticks, unit=whole.unit)


def parameter(figure: Sweep, character: float) -> Axis:
    """Return the axis of a parameter, with ticks at the values of the experiment.

    :param character: the width of a character as a share of the axis. Labels that would overlap are
        omitted.
    """
    at = [figure.place(value) for value in figure.values]
    margin = (max(at) - min(at)) * 0.05
    low, high = min(at) - margin, max(at) + margin
    ticks: list[tuple[float, str]] = []
    end = -math.inf
    for where, text in zip(at, figure.written, strict=True):
        half = (len(text) + 1) / 2 * character * (high - low)
        if where - half >= end:
            ticks.append((where, text))
            end = where + half
    return Axis(
        low=low,
        high=high,
        ticks=tuple(ticks),
        unit="logarithmic" if figure.logarithmic else "",
    )


def _step(span: float, count: int) -> float:
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    return min(_STEPS, key=lambda step: abs(math.log(step * power / rough))) * power
