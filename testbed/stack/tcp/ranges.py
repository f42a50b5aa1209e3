"""Sets of positions, kept as ranges: what SACK speaks of, on both sides."""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class RangeSet:
    """Half-open ranges of integers that neither overlap nor touch, in order.

    Adding costs time in the number of ranges it touches and the logarithm of all.
    """

    __slots__ = ("ends", "starts")

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []

    def __bool__(self) -> bool:
        return bool(self.starts)

    def add(self, start: int, end: int) -> list[tuple[int, int]]:
        """Add a range and return the parts of it that are new."""
        starts, ends = self.starts, self.ends
        left, right = bisect_left(ends, start), bisect_right(starts, end)
        new = []
        at = start
        for index in range(left, right):
            if at < starts[index]:
                new.append((at, starts[index]))
            at = max(at, ends[index])
        if at < end:
            new.append((at, end))
        if left < right:
            start, end = min(start, starts[left]), max(end, ends[right - 1])
        starts[left:right] = [start]
        ends[left:right] = [end]
        return new

    def around(self, position: int) -> tuple[int, int] | None:
        """Return the range that has ``position`` in it."""
        index = bisect_right(self.starts, position) - 1
        if index < 0 or self.ends[index] <= position:
            return None
        return self.starts[index], self.ends[index]

    def discard_before(self, position: int) -> None:
        """Forget what lies before ``position``."""
        count = bisect_right(self.ends, position)
        del self.starts[:count], self.ends[:count]
        if self.starts and self.starts[0] < position:
            self.starts[0] = position

    def clear(self) -> None:
        """Forget everything."""
        self.starts.clear()
        self.ends.clear()
