"""The interface of schedulers: one belongs to a connection, and says which subflow gets which data.

It is shown a :class:`View` and answers with a :data:`Grant`, again and again until it grants
nothing.  A position is as in :mod:`testbed.stack.mptcp.streams`: 0 is the first octet of the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

NO_LIMIT: Final = (1 << 62) - 1  # see NEVER of testbed.stack.deadlines


class Candidate(Protocol):
    """A subflow that works.  All times are nanoseconds, all amounts octets."""

    @property
    def number(self) -> int:
        """Counts the subflows of a connection in the order they were made."""

    @property
    def smoothed_rtt_ns(self) -> int | None:
        """RFC 6298's SRTT, or ``None`` before the first sample."""

    @property
    def rtt_variance_ns(self) -> int:
        """RFC 6298's RTTVAR, 0 before the first sample."""

    @property
    def cwnd(self) -> int:
        """The congestion window."""

    @property
    def in_flight(self) -> int:
        """The data that was sent and is neither acknowledged nor lost."""

    @property
    def queued(self) -> int:
        """The data that it was given and has not sent once."""

    @property
    def segment_size(self) -> int:
        """The payload of a full segment; at least 1."""

    def expected_ns(self, octets: int = 0) -> int | None:
        """Return how long it takes until what it has, and so many octets more, is acknowledged.

        ``None`` before the first sample of the round-trip time.
        """

    def sending_ns(self, octets: int) -> int:
        """Return how long so many octets take to leave, beside what it has already."""

    def within(self, ns: int) -> int:
        """Return how many octets more could be acknowledged in a time: at least one segment."""

    def lacks(self, start: int, end: int) -> tuple[int, int] | None:
        """Return the first piece between two positions that was not given to it, if any."""


C = TypeVar("C", bound=Candidate)

Grant: TypeAlias = tuple[C, int, int]
"""A subflow, the position from which on it gets data, and how many octets at most.

The sender cuts it to what was written, to the peer's window, to the subflow's room and to whole
segments, of which it may have one in any case.  Octets that are left out are granted later; those
that were granted before are sent once more.  A subflow that is full queues what it gets.
"""


class View(Generic[C]):
    """The data to send, and the subflows that may carry it.

    :ivar ready: subflows that can send a full segment, or all there is, at once.
    :ivar full: subflows that work but cannot.  Backups are in neither, unless nothing else works.
    :ivar una: everything before was acknowledged at the data level.
    :ivar first: the first octet that no subflow was given.
    :ivar end: everything before was written; ``edge`` is where the peer's window ends.
    :ivar unsent: octets written that no subflow was given; ``sendable`` of them the window allows.
    :ivar window: the largest window there was.
    """

    __slots__ = ("_gaps", "_next", "edge", "end", "first", "full", "ready", "sendable", "una",
                 "unsent", "window")  # fmt: skip

    def __init__(
        self,
        ready: Sequence[C],
        full: Sequence[C],
        *,
        una: int,
        next: int,  # noqa: A002 - as in SND.NXT
        end: int,
        edge: int,
        window: int,
        gaps: Sequence[tuple[int, int]] = (),
    ) -> None:
        """Make one.

        :param next: no subflow was given anything from here on; before, none was given ``gaps``.
        """
        self.ready = ready
        self.full = full
        self.una = una
        self.end = end
        self.edge = edge
        self.window = window
        self._gaps = gaps
        self._next = next
        left_out = sum(stop - start for start, stop in gaps) if gaps else 0
        self.first = gaps[0][0] if gaps else next
        self.unsent = end - next + left_out
        self.sendable = max(0, min(end, edge) - next) + left_out

    def after(self, position: int) -> int:
        """Return the first position, not before another one, that no subflow was given."""
        for start, stop in self._gaps:
            if position < stop:
                return max(start, position)
        return max(self._next, position)

    @property
    def last(self) -> tuple[int, int]:
        """The last piece that no subflow was given, as far as the window of the peer goes."""
        edge = min(self.end, self.edge)
        return (self._next, edge) if self._next < edge or not self._gaps else self._gaps[-1]


class Scheduler(Protocol):
    """Chooses."""

    def select(self, candidates: Sequence[C]) -> C:
        """Return one of the candidates, of which there is at least one.

        It gets data that is sent again, or a probe of the peer's window.
        """

    def assign(self, view: View[C]) -> Grant[C] | None:
        """Return which subflow gets which data next, or that all had better wait."""


def fastest(candidates: Sequence[C]) -> C:
    """Return the one with the smallest round-trip time, the oldest of equals.

    One without a sample counts as the fastest, so that it gets one.
    """
    return min(candidates, key=lambda one: (one.smoothed_rtt_ns or 0, one.number))
