"""Half-open ranges of positions in a stream: (start, end) contains start but not end."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class Ranges:
    """A set of positions, kept as sorted ranges that neither overlap nor touch."""

    __slots__ = ("_edges",)

    def __init__(self) -> None:
        # The starts and ends of ranges, in turns.  So a position is in a range if an odd number of
        # edges lies before it.  One list takes less memory than two, and many sets stay empty.
        self._edges: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._edges)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(_pairs(self._edges))

    def add(self, start: int, end: int) -> list[tuple[int, int]]:
        """Add positions from ``start`` up to ``end``; return the ranges of them that are new."""
        if start >= end:
            return []
        edges = self._edges
        if not edges or start > edges[-1]:  # most ranges are added in order
            edges += (start, end)
            return [(start, end)]
        first, last = bisect_left(edges, start), bisect_right(edges, end)
        before = [] if first & 1 else [start]
        after = [] if last & 1 else [end]
        gaps = _pairs(before + edges[first:last] + after)
        edges[first:last] = before + after
        return [gap for gap in gaps if gap[0] < gap[1]]

    def remove(self, start: int, end: int) -> None:
        """Remove the positions from ``start`` up to ``end``, if they are in the set."""
        if start >= end:
            return
        edges = self._edges
        first, last = bisect_left(edges, start), bisect_right(edges, end)
        if first < last or first & 1:
            edges[first:last] = ([start] if first & 1 else []) + ([end] if last & 1 else [])

    def remove_before(self, position: int) -> None:
        """Remove all positions before ``position``."""
        edges = self._edges
        if edges and edges[0] < position:
            self.remove(edges[0], position)

    def first_few(self, limit: int) -> Iterator[tuple[int, int]]:
        """Iterate over at most ``limit`` of the lowest ranges."""
        return iter(_pairs(self._edges[: 2 * limit]))

    def first(self) -> tuple[int, int] | None:
        """Return the lowest range, or ``None``."""
        edges = self._edges
        return (edges[0], edges[1]) if edges else None

    def last(self) -> tuple[int, int] | None:
        """Return the highest range, or ``None``."""
        edges = self._edges
        return (edges[-2], edges[-1]) if edges else None

    def around(self, position: int) -> tuple[int, int] | None:
        """Return the range that contains ``position``, or ``None``."""
        edges = self._edges
        index = bisect_right(edges, position)
        return (edges[index - 1], edges[index]) if index & 1 else None

    def clear(self) -> None:
        """Remove everything."""
        self._edges.clear()


def _pairs(edges: list[int]) -> list[tuple[int, int]]:
    return list(zip(edges[::2], edges[1::2], strict=True))
