"""The part of our stream that a subflow carries."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.stack.mptcp.run import Run
from testbed.stack.ranges import Ranges


class Carried:
    """The sending side of a subflow: the data that was given to it, until the Data ACK.

    :ivar given: octets of our stream that were given to it.
    :ivar stale: its retransmission timer has expired, and nothing came since.
    :ivar timed_out: its retransmission timer has expired since :meth:`take_time_out`.
    """

    __slots__ = ("_data", "_run", "given", "stale", "timed_out")

    def __init__(self) -> None:
        self.given = 0
        self.stale = False
        self._data = Ranges()
        self._run = Run()
        self.timed_out = False

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._data)

    def give(self, start: int, length: int) -> None:
        """Note that it was given data from a position on."""
        self._run.give(start, length)
        self.given += length
        self._data.add(start, start + length)

    def holds(self, position: int) -> bool:
        """Tell whether the octet at a position is on its way here."""
        return self._data.around(position) is not None

    def lacks(self, start: int, end: int) -> tuple[int, int] | None:
        """Return the first piece between two positions that is not on its way here, if any."""
        for first, stop in self._data:
            if start < first:
                return (start, min(first, end)) if start < end else None
            start = max(start, stop)
        return (start, end) if start < end else None

    def end_of(self, position: int) -> int:
        """Return the end of the piece that the octet at a position is in; itself if in none."""
        piece = self._data.around(position)
        return position if piece is None else piece[1]

    def holds_all(self, start: int, end: int) -> bool:
        """Tell whether all data between two positions is on its way here, and only here, once."""
        return self._run.covers(start, end)

    def drop_before(self, position: int) -> None:
        """Forget what lies before a position: its Data ACK has come."""
        self._data.remove_before(position)

    def clear(self) -> None:
        """Forget all of it: it is as good as lost."""
        self._data.clear()

    def time_out(self) -> None:
        """Note that TCP's retransmission timer has expired."""
        self.stale = self.timed_out = True

    def progress(self) -> None:
        """Note that the peer's TCP has acknowledged something."""
        self.stale = False

    def take_time_out(self) -> None:
        """Take that the connection acts on the expiry of the timer."""
        self.timed_out = False
