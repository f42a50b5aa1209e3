"""Pacing: segments are spread over time by the rate of the congestion control."""

from __future__ import annotations

from typing import Final

from testbed.stack.deadlines import NEVER

_NS: Final = 1_000_000_000
_BURST_NS: Final = 1_000_000  # the burst, as in Linux: one millisecond at the rate
_MOST_AT_ONCE: Final = 1 << 16
_LEAST_SEGMENTS: Final = 2
_STARTING: Final = 200  # per cent: tcp_pacing_ss_ratio, and tcp_pacing_ca_ratio
_GROWING: Final = 120
# A late timer must not make the sender slower than its rate.  If it is later than this,
# the rate is more than the machine can do.
_MOST_LATE_NS: Final = 10 * _BURST_NS


def window_rate(window: int, rtt: int | None, *, starting: bool) -> int:
    """Return the pacing rate of a window per round trip, 0 if unknown.

    As in Linux, the rate is doubled in slow start, where the window doubles meanwhile, and is 1.2
    times as high later, so that the window remains the limit.
    """
    return window * (_STARTING if starting else _GROWING) * _NS // (100 * rtt) if rtt else 0


def quantum(rate: int, mss: int) -> int:
    """Return how many octets may leave in one burst (draft-ietf-ccwg-bbr-06, section 5.6.3).

    :param rate: in octets per second.
    """
    return max(min(rate * _BURST_NS // _NS, _MOST_AT_ONCE), _LEAST_SEGMENTS * mss)


class Pacer:
    """Determines when the next segment may leave.

    :ivar at: when the sender may continue; ``NEVER`` if nothing waits.
    """

    __slots__ = ("_free_ns", "_late_ns", "_resumed_ns", "at")

    def __init__(self) -> None:
        self.at = NEVER
        self._free_ns = 0  # when everything sent would have left at the rate
        # Time and lateness of the last wake-up after a wait.
        self._resumed_ns = -_BURST_NS
        self._late_ns = 0

    def holds(self, now: int) -> bool:
        """Return whether the next segment must wait until ``at``."""
        if self.at <= now:
            self.expire(now)
        elif self.at == NEVER and self._free_ns >= now + _BURST_NS:
            self.at = self._free_ns
        return self.at != NEVER

    def expire(self, now: int) -> None:
        """Continue after the deadline. A delay of the timer may be compensated now."""
        self._resumed_ns, self._late_ns = now, min(now - self.at, _MOST_LATE_NS)
        self.at = NEVER

    def sent(self, octets: int, rate: int, now: int) -> None:
        """Record octets that leave at ``rate`` octets per second."""
        resuming = now - self._resumed_ns < _BURST_NS  # a driver sends some time after its timer
        earliest = now - self._late_ns if resuming else now
        self._free_ns = max(self._free_ns, earliest) + octets * _NS // rate

    def stop(self) -> None:
        """Stop waiting."""
        self.at = NEVER
