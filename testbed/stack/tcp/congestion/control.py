"""The interface of congestion controls: the news they get, and the answers they give.

All amounts are octets, all times nanoseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol

import msgspec

INITIAL_SEGMENTS: Final = 10  # RFC 6928, as Linux has it
NO_THRESHOLD: Final = 1 << 40


class Loss(msgspec.Struct, frozen=True, gc=False):
    """A segment that was found lost.

    :param start: position of its first octet; ``end`` that after its last.
    :param tx_in_flight: octets in flight just after it had left, its own among them.
    :param lost: octets found lost since it left, its own among them.
    :param app_limited: the application was the limit when it left.
    """

    start: int
    end: int
    tx_in_flight: int
    lost: int
    app_limited: bool


class Sample(msgspec.Struct, frozen=True, gc=False):
    """The news of an ACK.

    :param delivered: octets that it reports as delivered, selectively or not.
    :param lost: octets found lost since the sample before.
    :param growable: the window may grow: it was the limit (RFC 7661), SND.UNA has advanced or the
        path is known to reorder, and no loss is being repaired (RFC 5681, section 3.1).
    :param flight: octets from SND.UNA to SND.NXT.
    :param in_flight: of those, neither selectively acknowledged nor lost.
    :param rtt: the latest round-trip time, ``None`` before the first; ``smoothed`` is SRTT,
        ``minimum`` the shortest of late.
    :param rate: octets per second that the path has delivered since the newest segment
        acknowledged was sent; 0 if that cannot be told (draft-ietf-ccwg-bbr, section 4.1).
    :param round: counts round trips.
    :param app_limited: the rate was limited by the application.
    :param total: octets that the connection has delivered so far; ``prior`` of them before the
        newest segment acknowledged was sent.
    :param tx_in_flight: octets in flight just after that segment had left.
    :param lost_since: octets found lost since it left.
    :param losses: the segments found lost since the sample before.
    :param cwnd_limited: the window was used up within the last round trip.
    :param recovering: losses are being repaired.
    :param selective: the peer tells of losses by SACK, so that there can be many in a round trip.
    :param marked: of ``delivered``, what an ACK with ECN-Echo reports.
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
    """Decides how much may be in flight, and how fast it leaves; TCP finds losses.

    An object belongs to one connection, and alone writes its state.  If it has a
    true attribute ``needs_ecn``, ECN is asked for, and each mark is echoed by itself (RFC 8257).
    """

    @property
    def window(self) -> int:
        """The octets that may be in flight; 0 before :meth:`start`."""

    @property
    def threshold(self) -> int:
        """Below it, slow start; after a reduction, what ``window`` is going to be."""

    @property
    def pacing_rate(self) -> int:
        """Octets per second that may leave; 0: as many as the window lets go."""

    @property
    def proportional(self) -> bool:
        """Whether TCP spreads a reduction over a round trip (RFC 9937)."""

    def start(self, mss: int, segments: int) -> None:
        """Begin with a window of so many segments: the connection is established."""

    def resize(self, mss: int) -> None:
        """Keep the window in segments: the path takes smaller ones."""

    def on_sent(self, octets: int, in_flight: int, now: int) -> None:
        """Octets have left, for the first time or again."""

    def on_ack(self, sample: Sample) -> None:
        """An ACK has reported octets as delivered."""

    def on_loss(self, used: int, now: int) -> None:
        """A loss was detected, or ECN-Echo came: called once for a window of data.

        :param used: the most octets of the window that were in flight within the last round trip:
            the whole window, unless the application did not send enough.
        """

    def on_timeout(self, used: int, now: int, *, again: bool) -> None:
        """The retransmission timer has expired.

        :param again: for a segment for which it did before.
        """

    def on_idle(self, timeouts: int, now: int) -> None:
        """Nothing was sent for so many whole timeouts (RFC 5681, section 4.1)."""

    def on_undo(self) -> None:
        """The last reduction was for nothing."""


class Group:
    """The controls of all paths of one connection, for those that couple them (RFC 6356).

    One of plain TCP is alone in its group.  A control that has not started has a window of 0.
    """

    __slots__ = ("_members",)

    def __init__(self) -> None:
        self._members: list[CongestionControl] = []

    def join(self, control: CongestionControl) -> None:
        """Add the control of a new path."""
        self._members.append(control)

    def leave(self, control: CongestionControl) -> None:
        """Remove that of a path which has ended."""
        if control in self._members:
            self._members.remove(control)

    def __iter__(self) -> Iterator[CongestionControl]:
        return iter(self._members)


Factory = Callable[[Group], CongestionControl]
