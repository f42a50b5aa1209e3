"""Reduces the points of a curve without a visible change.

It divides the time into equal spans, and keeps the smallest and the largest value of each span at
their own times, like an oscilloscope. So no peak is lost, and each point is a measured one.
"""

from __future__ import annotations

from collections.abc import Sequence


def thinned(
    x: Sequence[float], y: Sequence[float], points: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return at most ``points`` of the points, including the first and the last.

    :param x: the times, in ascending order.
    :param points: the largest number of points, at least 4.
    """
    if len(x) <= points:
        return tuple(x), tuple(y)
    spans = (points - 2) // 2
    width = (x[-1] - x[0]) / spans or 1.0
    kept = {0, len(x) - 1}
    least = most = 0
    current = 0
    for index in range(1, len(x)):
        span = min(spans - 1, int((x[index] - x[0]) / width))
        if span != current:
            kept |= {least, most}
            least = most = index
            current = span
        elif y[index] < y[least]:
            least = index
        elif y[index] > y[most]:
            most = index
    kept |= {least, most}
    order = sorted(kept)
    return tuple(x[index] for index in order), tuple(y[index] for index in order)
