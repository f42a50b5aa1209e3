"""The part of our data stream that a subflow carries."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.stack.mptcp.run import Run
from testbed.stack.ranges import Ranges


class Carried:
    """The data that was given to a subflow and has no Data ACK yet.

    :ivar given: how many octets of our stream the subflow was given.
    :ivar stale: whether the retransmission timer has expired and the peer has acknowledged nothing
        since.
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
        """Record data that the subflow was given."""
        self._run.give(start, length)
        self.given += length
        self._data.add(start, start + length)

    def holds(self, position: int) -> bool:
        """Return whether this subflow carries the octet at a position."""
        return self._data.around(position) is not None

    def lacks(self, start: int, end: int) -> tuple[int, int] | None:
        """Return the first piece between two positions that this subflow does not carry, if any."""
        for first, stop in self._data:
            if start < first:
                return (start, min(first, end)) if start < end else None
            start = max(start, stop)
        return (start, end) if start < end else None

    def end_of(self, position: int) -> int:
        """Return the end of the carried piece around a position, or the position itself."""
        piece = self._data.around(position)
        return position if piece is None else piece[1]

    def holds_all(self, start: int, end: int) -> bool:
        """Return whether this subflow alone carries all data between two positions, once."""
        return self._run.covers(start, end)

    def drop_before(self, position: int) -> None:
        """Forget the data before a position, which has a Data ACK."""
        self._data.remove_before(position)

    def clear(self) -> None:
        """Forget all data: it counts as lost."""
        self._data.clear()

    def time_out(self) -> None:
        """Record the expiry of TCP's retransmission timer."""
        self.stale = self.timed_out = True

    def progress(self) -> None:
        """Record an acknowledgment of the peer's TCP."""
        self.stale = False

    def take_time_out(self) -> None:
        """Record that the connection acts on the expiry of the timer."""
        self.timed_out = False
