"""Ranges of positions in a stream, half-open: (start, end) holds start but not end."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class Ranges:
    """A set of positions, kept as sorted ranges that neither overlap nor touch."""

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(list(zip(self._starts, self._ends, strict=True)))

    def add(self, start: int, end: int) -> list[tuple[int, int]]:
        """Add positions from ``start`` up to ``end``; return the ranges of them that are new."""
        if start >= end:
            return []
        starts, ends = self._starts, self._ends
        first, last = bisect_left(ends, start), bisect_right(starts, end)
        new = []
        at = start
        for index in range(first, last):
            if at < starts[index]:
                new.append((at, starts[index]))
            at = max(at, ends[index])
        if at < end:
            new.append((at, end))
        if first < last:
            start, end = min(start, starts[first]), max(end, ends[last - 1])
        starts[first:last] = [start]
        ends[first:last] = [end]
        return new

    def remove(self, start: int, end: int) -> None:
        """Take out positions from ``start`` up to ``end``, in the set or not."""
        if start >= end:
            return
        first = bisect_right(self._ends, start)
        last = bisect_left(self._starts, end)
        if first >= last:
            return
        left, right = self._starts[first], self._ends[last - 1]
        rest = [(left, start)] if left < start else []
        if end < right:
            rest.append((end, right))
        self._starts[first:last] = [begin for begin, _ in rest]
        self._ends[first:last] = [stop for _, stop in rest]

    def remove_before(self, position: int) -> None:
        """Take out everything before ``position``."""
        if self._starts and self._starts[0] < position:
            self.remove(self._starts[0], position)

    def first_few(self, limit: int) -> Iterator[tuple[int, int]]:
        """Iterate over at most ``limit`` of the lowest ranges."""
        for index in range(min(limit, len(self._starts))):
            yield self._starts[index], self._ends[index]

    def first(self) -> tuple[int, int] | None:
        """Return the lowest range, or ``None``."""
        return (self._starts[0], self._ends[0]) if self._starts else None

    def last(self) -> tuple[int, int] | None:
        """Return the highest range, or ``None``."""
        return (self._starts[-1], self._ends[-1]) if self._starts else None

    def around(self, position: int) -> tuple[int, int] | None:
        """Return the range that holds ``position``, or ``None``."""
        index = bisect_right(self._starts, position) - 1
        if index < 0 or self._ends[index] <= position:
            return None
        return self._starts[index], self._ends[index]

    def clear(self) -> None:
        """Take out everything."""
        self._starts.clear()
        self._ends.clear()
