"""Pacing: what leaves is spread over time where the congestion control gives a rate."""

from __future__ import annotations

from typing import Final

from testbed.stack.deadlines import NEVER

_NS: Final = 1_000_000_000
_BURST_NS: Final = 1_000_000  # what may leave at once, as Linux has it: a millisecond's worth
_MOST_AT_ONCE: Final = 1 << 16
_LEAST_SEGMENTS: Final = 2
_STARTING: Final = 200  # per cent: tcp_pacing_ss_ratio, and tcp_pacing_ca_ratio
_GROWING: Final = 120
# A timer that comes late must not make the sender slower than its rate.  If it is later than this,
# the rate is more than the machine can do.
_MOST_LATE_NS: Final = 10 * _BURST_NS


def window_rate(window: int, rtt: int | None, *, starting: bool) -> int:
    """Return the rate at which a window is spread over a round trip, 0 if that is not known.

    As in Linux, it is twice as much in slow start, where the window doubles meanwhile, and 1.2
    times as much later, so that the window remains the limit.
    """
    return window * (_STARTING if starting else _GROWING) * _NS // (100 * rtt) if rtt else 0


def quantum(rate: int, mss: int) -> int:
    """Return the octets that may leave as one (draft-ietf-ccwg-bbr-06, section 5.6.3).

    :param rate: octets per second.
    """
    return max(min(rate * _BURST_NS // _NS, _MOST_AT_ONCE), _LEAST_SEGMENTS * mss)


class Pacer:
    """When the next segment may leave.

    :ivar at: when the sender goes on; ``NEVER`` while nothing waits for that.
    """

    __slots__ = ("_free_ns", "_late_ns", "_resumed_ns", "at")

    def __init__(self) -> None:
        self.at = NEVER
        self._free_ns = 0  # when all that has left would have left at the rate
        self._resumed_ns = -_BURST_NS  # when the sender went on after a wait, and how late that was
        self._late_ns = 0

    def holds(self, now: int) -> bool:
        """Tell whether the next segment must wait; then ``at`` says until when."""
        if self.at <= now:
            self.expire(now)
        elif self.at == NEVER and self._free_ns >= now + _BURST_NS:
            self.at = self._free_ns
        return self.at != NEVER

    def expire(self, now: int) -> None:
        """Go on: the deadline has passed, perhaps some time ago, which may be made up for now."""
        self._resumed_ns, self._late_ns = now, min(now - self.at, _MOST_LATE_NS)
        self.at = NEVER

    def sent(self, octets: int, rate: int, now: int) -> None:
        """Note octets that leave at ``rate`` octets per second."""
        resuming = now - self._resumed_ns < _BURST_NS  # a driver sends some time after its timer
        earliest = now - self._late_ns if resuming else now
        self._free_ns = max(self._free_ns, earliest) + octets * _NS // rate

    def stop(self) -> None:
        """Wait for nothing any more."""
        self.at = NEVER
