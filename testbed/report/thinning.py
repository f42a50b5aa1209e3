"""Fewer points that look the same.

The time is cut into equal spans.  Of each span the least and the largest value are kept, at their
own times, as oscilloscopes do: no peak is lost, and nothing is drawn that was not measured.
"""

from __future__ import annotations

from collections.abc import Sequence


def thinned(
    x: Sequence[float], y: Sequence[float], points: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return at most ``points`` of the points, the first and the last among them.

    :param x: never falling.
    :param points: at least 4.
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
