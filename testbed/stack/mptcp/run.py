"""The check whether a subflow carries one contiguous piece of the data stream."""

from __future__ import annotations


class Run:
    """The last contiguous piece of data that a subflow was given.

    Data that was given before this piece may be in flight twice, or on other subflows. All
    unacknowledged data is in flight on this subflow, once and in order, if it lies inside this
    piece.
    """

    __slots__ = ("_end", "_most", "_start")

    def __init__(self) -> None:
        self._start = 0  # nothing else is in flight from this position of the data stream on
        self._end = 0
        self._most = 0  # greatest end of data given so far

    def give(self, start: int, length: int) -> None:
        """Record data that the subflow was given."""
        if start != self._end:
            self._start = max(self._most, start)
        self._end = start + length
        self._most = max(self._most, self._end)

    def covers(self, start: int, end: int) -> bool:
        """Return whether all data between two positions lies inside the piece."""
        return start == end or (self._start <= start and end == self._end)
