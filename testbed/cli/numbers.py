"""Numbers with their units, for people."""

from __future__ import annotations

from typing import Final

from testbed.results.statistics import Estimate, Interval, Ratio
from testbed.workload.metrics import METRICS

_SCALES: Final = {
    "bit/s": ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s"), (1, "bit/s")),
    "octets": ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"), (1, "B")),
    "s": ((1, "s"), (1e-3, "ms"), (1e-6, "µs")),
    "1": ((1, ""),),
}


def quantity(metric: str, estimate: Estimate) -> str:
    """Write a mean with its interval: ``45.3 Mbit/s [45.1, 45.6]``."""
    scale, unit = _scale(metric, estimate.mean)
    text = f"{_short(estimate.mean / scale)} {unit}".rstrip()
    return text + _bounds(estimate.interval, scale)


def number(metric: str | None, value: float, interval: Interval | None) -> str:
    """Write a value of ``metric``, or a plain ratio."""
    scale, unit = (1.0, "") if metric is None else _scale(metric, value)
    return f"{_short(value / scale)} {unit}".rstrip() + _bounds(interval, scale)


def times(ratio: Ratio) -> str:
    """Write a ratio: ``2.39x [2.31, 2.44]``."""
    return f"{ratio.value:.2f}x{_bounds(ratio.interval, 1)}"


def _scale(metric: str, value: float) -> tuple[float, str]:
    scales = _SCALES[METRICS[metric].unit]
    return next((pair for pair in scales if abs(value) >= pair[0]), scales[-1])


def _bounds(interval: Interval | None, scale: float) -> str:
    if interval is None:
        return ""
    return f" [{_short(interval.low / scale)}, {_short(interval.high / scale)}]"


def _short(value: float) -> str:
    """Write three significant digits at least, and all of the integer part."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}"
