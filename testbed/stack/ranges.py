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

    def add(self, start: int, end: int) -> None:
        """Add positions from ``start`` up to ``end``."""
        if start >= end:
            return
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

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

    def first(self) -> tuple[int, int] | None:
        """Return the lowest range, or ``None``."""
        return (self._starts[0], self._ends[0]) if self._starts else None

    def clear(self) -> None:
        """Take out everything."""
        self._starts.clear()
        self._ends.clear()
