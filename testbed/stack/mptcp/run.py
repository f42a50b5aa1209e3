"""Whether the data of a subflow is one piece of the data stream."""

from __future__ import annotations


class Run:
    """The last octets that were given to a subflow whose data is in one piece.

    Of data that was given before, some may be on its way twice, or on other subflows: what is not
    acknowledged is all there, once and in order, when that lies in one piece and is not older.
    """

    __slots__ = ("_end", "_most", "_start")

    def __init__(self) -> None:
        self._start = 0  # position in the data stream from which on nothing else is on its way
        self._end = 0
        self._most = 0  # position before which all that was ever given lies

    def give(self, start: int, length: int) -> None:
        """Take that the subflow was given the data from a position on."""
        if start != self._end:
            self._start = max(self._most, start)
        self._end = start + length
        self._most = max(self._most, self._end)

    def covers(self, start: int, end: int) -> bool:
        """Tell whether all data between two positions is on its way here, and only here."""
        return start == end or (self._start <= start and end == self._end)
