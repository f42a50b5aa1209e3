"""Formats numbers with units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from testbed.analysis.registry import NONE, metric_of
from testbed.analysis.statistics import Estimate, Interval, Ratio
from testbed.metric import Metric, Unit

_SCALES: Final[Mapping[Unit, tuple[tuple[float, str], ...]]] = {
    "bit/s": ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s"), (1, "bit/s")),
    "octets": ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"), (1, "B")),
    "s": ((1, "s"), (1e-3, "ms"), (1e-6, "µs")),
    "s/GB": ((1, "s/GB"),),
    "1": ((1, ""),),
}

_COUNTED: Final = ("", "B")
_EXACT: Final = 2.0**53  # smaller integers are exact as floating point numbers
_MANIFOLD: Final = 100.0


def quantity(metric: str, estimate: Estimate, own: Mapping[str, Metric] = NONE) -> str:
    """Format a mean and its uncertainty: ``45.3 ±0.2 Mbit/s``."""
    scale, unit = _scale(metric, estimate.mean, own)
    interval, value = estimate.interval, estimate.mean / scale
    spread = interval is not None and interval.low != interval.high
    mean = short(value) if spread else _counted(value, unit)
    decimals = len(mean.partition(".")[2])
    return f"{mean}{_off(estimate.mean, interval, scale, decimals)} {unit}".rstrip()


def times(ratio: Ratio) -> str:
    """Format a ratio and its uncertainty: ``2.39 ±0.04``."""
    return f"{ratio.value:.2f}{_off(ratio.value, ratio.interval, 1, 2)}"


def number(
    metric: str | None,
    value: float,
    interval: Interval | None,
    own: Mapping[str, Metric] = NONE,
) -> str:
    """Format a value of ``metric``, or a plain ratio: ``45.3 Mbit/s [45.1, 45.5]``."""
    scale, unit = (1.0, "") if metric is None else _scale(metric, value, own)
    text = f"{_counted(value / scale, unit)} {unit}".rstrip()
    if interval is None:
        return text
    return f"{text} [{short(interval.low / scale)}, {short(interval.high / scale)}]"


def scale(unit: Unit, value: float) -> tuple[float, str]:
    """Return the divisor for a value, and the resulting unit."""
    scales = _SCALES[unit]
    return next((pair for pair in scales if abs(value) >= pair[0]), scales[-1])


def short(value: float) -> str:
    """Format a number with at least three significant digits, and all exact integer digits."""
    return written(value, _digits(value))


def written(value: float, decimals: int) -> str:
    """Format a number with decimals; with three digits if it is too large for exact integers."""
    return f"{value:.3g}" if abs(value) >= _EXACT else f"{value:.{decimals}f}"


def percent(value: float) -> str:
    """Format a relative change: ``-9.6%``, or the factor if it is very large: ``x1.5e+06``."""
    return f"{value:+.1%}" if abs(value) < _MANIFOLD else f"x{1 + value:.3g}"


def _scale(metric: str, value: float, own: Mapping[str, Metric]) -> tuple[float, str]:
    return scale(metric_of(metric, own).unit, value)


def _off(value: float, interval: Interval | None, scale: float, decimals: int) -> str:
    """Format the wider half of the interval, with as many decimals as the value."""
    if interval is None:
        return ""
    half = max(interval.high - value, value - interval.low) / scale
    return f" ±{written(half, decimals)}"


def _counted(value: float, unit: str) -> str:
    """Format a count as an integer if it is whole. A mean of counts may not be."""
    return written(value, 0) if unit in _COUNTED and value.is_integer() else short(value)


def _digits(value: float) -> int:
    """Return the number of decimals for three significant digits."""
    return 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
