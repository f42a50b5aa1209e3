"""The interface of congestion controls: their inputs and outputs.

Amounts are in octets, times in nanoseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol

import msgspec

INITIAL_SEGMENTS: Final = 10  # RFC 6928, as in Linux
NO_THRESHOLD: Final = 1 << 40


class Loss(msgspec.Struct, frozen=True, gc=False):
    """A segment that was marked lost.

    :param start: the position of its first octet. ``end`` is the position after its last.
    :param tx_in_flight: the octets in flight just after it was sent, including its own.
    :param lost: the octets marked lost since it was sent, including its own.
    :param app_limited: whether sending was application-limited when it was sent.
    """

    start: int
    end: int
    tx_in_flight: int
    lost: int
    app_limited: bool


class Sample(msgspec.Struct, frozen=True, gc=False):
    """What an ACK reports.

    :param delivered: the octets that it acknowledges, selectively or not.
    :param lost: the octets marked lost since the previous sample.
    :param growable: whether the window may grow: it was the limit (RFC 7661), SND.UNA has advanced
        or the path is known to reorder, and there is no loss recovery (RFC 5681, section 3.1).
    :param flight: the octets from SND.UNA to SND.NXT.
    :param in_flight: those of them that are neither selectively acknowledged nor lost.
    :param rtt: the latest round-trip time, ``None`` before the first. ``smoothed`` is SRTT,
        ``minimum`` the shortest recent one.
    :param rate: the delivery rate in octets per second since the newest acknowledged segment was
        sent; 0 if unknown (draft-ietf-ccwg-bbr, section 4.1).
    :param round: the number of the round trip.
    :param app_limited: whether the rate was application-limited.
    :param total: the octets that the connection has delivered. ``prior`` of them were delivered
        before the newest acknowledged segment was sent.
    :param tx_in_flight: the octets in flight just after that segment was sent.
    :param lost_since: the octets marked lost since that segment was sent.
    :param losses: the segments marked lost since the previous sample.
    :param cwnd_limited: whether the window was used up within the last round trip.
    :param recovering: whether there is loss recovery.
    :param selective: whether SACK is in use, which can report many losses in a round trip.
    :param marked: those of the ``delivered`` octets that an ACK with ECN-Echo reports.
    """

    now: int
    delivered: int
    lost: int
    growable: bool
    flight: int
    in_flight: int
    rtt: int | None
    smoothed: int | None
    minimum: int | None
    rate: int
    round: int
    app_limited: bool
    total: int = 0
    prior: int = 0
    tx_in_flight: int = 0
    lost_since: int = 0
    losses: tuple[Loss, ...] = ()
    cwnd_limited: bool = False
    recovering: bool = False
    selective: bool = True
    marked: int = 0


class CongestionControl(Protocol):
    """Determines the congestion window and the pacing rate. TCP detects losses.

    An object belongs to one connection. Only the object writes its state. If it has a true
    attribute ``needs_ecn``, ECN is requested, and each mark is echoed separately (RFC 8257).
    """

    @property
    def window(self) -> int:
        """The congestion window in octets; 0 before :meth:`start`."""

    @property
    def threshold(self) -> int:
        """The slow start threshold. After a reduction, the target of ``window``."""

    @property
    def pacing_rate(self) -> int:
        """The pacing rate in octets per second; 0 if only the window limits."""

    @property
    def proportional(self) -> bool:
        """Whether TCP spreads a reduction over a round trip (RFC 9937)."""

    def start(self, mss: int, segments: int) -> None:
        """Start with a window of segments after the handshake."""

    def resize(self, mss: int) -> None:
        """Scale the window to smaller segments."""

    def on_sent(self, octets: int, in_flight: int, now: int) -> None:
        """Process the transmission of octets, new or retransmitted."""

    def on_ack(self, sample: Sample) -> None:
        """Process an ACK that reports delivered octets."""

    def on_loss(self, used: int, now: int) -> None:
        """Process a loss or ECN-Echo. TCP calls it once for a window of data.

        :param used: the greatest number of octets in flight within the last round trip: the whole
            window, unless the application sent too little.
        """

    def on_timeout(self, used: int, now: int, *, again: bool) -> None:
        """Process the expiry of the retransmission timer.

        :param again: whether it expired before for the same segment.
        """

    def on_idle(self, timeouts: int, now: int) -> None:
        """Process a silence of this many whole timeouts (RFC 5681, section 4.1)."""

    def on_undo(self) -> None:
        """Undo the last reduction, which was spurious."""


class Group:
    """The controls of all paths of one connection, for coupled ones (RFC 6356).

    A control of plain TCP is alone in its group. A control that has not started has a window of 0.
    """

    __slots__ = ("_members",)

    def __init__(self) -> None:
        self._members: tuple[CongestionControl, ...] = ()

    def join(self, control: CongestionControl) -> None:
        """Add the control of a new path."""
        self._members = (*self._members, control)

    def leave(self, control: CongestionControl) -> None:
        """Remove the control of a path that has ended."""
        self._members = tuple(one for one in self._members if one is not control)

    def __iter__(self) -> Iterator[CongestionControl]:
        return iter(self._members)


Factory = Callable[[Group], CongestionControl]
