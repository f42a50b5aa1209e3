"""The interface of schedulers, which assign data to subflows.

A scheduler belongs to one connection. The connection passes it a :class:`View` and gets a
:data:`Grant`, repeatedly until it grants nothing. Positions are those of
:mod:`testbed.stack.mptcp.streams`: 0 is the first octet of the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

NO_LIMIT: Final = (1 << 62) - 1  # see NEVER of testbed.stack.deadlines


class Candidate(Protocol):
    """A working subflow. Times are in nanoseconds, amounts in octets."""

    @property
    def number(self) -> int:
        """The number of the subflow, in the order of creation."""

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
        """The octets that were sent and are neither acknowledged nor lost."""

    @property
    def queued(self) -> int:
        """The octets that it was given and has never sent."""

    @property
    def segment_size(self) -> int:
        """The payload of a full segment; at least 1."""

    def expected_ns(self, octets: int = 0) -> int | None:
        """Return the time until its data and this many octets more are acknowledged.

        ``None`` before the first sample of the round-trip time.
        """

    def sending_ns(self, octets: int) -> int:
        """Return the time to send its data and this many octets more."""

    def within(self, ns: int) -> int:
        """Return how many octets more could be acknowledged in a time; at least one segment."""

    def lacks(self, start: int, end: int) -> tuple[int, int] | None:
        """Return the first piece between two positions that it was not given, if any."""


C = TypeVar("C", bound=Candidate)

Grant: TypeAlias = tuple[C, int, int]
"""A subflow, the position from which on it gets data, and how many octets at most.

The sender cuts it to what was written, to the peer's window, to the subflow's room and to whole
segments, of which it may have one in any case.  Octets that are left out are granted later; those
that were granted before are sent once more.  A subflow that is full queues what it gets.
"""


class View(Generic[C]):
    """The data to send, and the subflows that may carry it.

    :ivar ready: the subflows that can send a full segment, or all data, at once.
    :ivar full: the working subflows that cannot. Neither has backups, unless nothing else works.
    :ivar una: the position before which everything has a Data ACK.
    :ivar first: the position of the first octet that no subflow was given.
    :ivar end: the position before which everything was written. ``edge`` is the end of the peer's
        window.
    :ivar unsent: how many written octets no subflow was given. The window allows ``sendable`` of
        them.
    :ivar window: the largest window so far.
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

        :param next: the position from which no subflow was given anything. Before it, no subflow
            was given the ``gaps``.
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
        """Return the first position at or after another one that no subflow was given."""
        for start, stop in self._gaps:
            if position < stop:
                return max(start, position)
        return max(self._next, position)

    @property
    def last(self) -> tuple[int, int]:
        """The last piece inside the peer's window that no subflow was given."""
        edge = min(self.end, self.edge)
        return (self._next, edge) if self._next < edge or not self._gaps else self._gaps[-1]


class Scheduler(Protocol):
    """Assigns the data of one connection to its subflows."""

    def select(self, candidates: Sequence[C]) -> C:
        """Return one of the candidates. There is at least one.

        The chosen one gets reinjected data, or a probe of the peer's window.
        """

    def assign(self, view: View[C]) -> Grant[C] | None:
        """Return which subflow gets which data next, or nothing if all must wait."""


def fastest(candidates: Sequence[C]) -> C:
    """Return the candidate with the smallest round-trip time, the oldest of equals.

    A candidate without a sample counts as the fastest, so that it gets one.
    """
    return min(candidates, key=lambda one: (one.smoothed_rtt_ns or 0, one.number))
