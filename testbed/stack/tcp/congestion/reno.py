"""Reno: RFC 5681, counting octets (RFC 3465)."""

from __future__ import annotations

from typing import Final

from testbed.stack.tcp.congestion import NO_THRESHOLD, initial_window, register
from testbed.stack.tcp.rtt import RttEstimator

_LEAST_SEGMENTS: Final = 2


class Reno:
    """Slow start, congestion avoidance, halving."""

    __slots__ = ("_acked", "_before", "cwnd", "mss", "ssthresh")

    def __init__(self) -> None:
        self.mss = 0
        self.cwnd = 0
        self.ssthresh = NO_THRESHOLD
        self._acked = 0  # octets since cwnd last grew
        self._before = (0, 0)

    def start(self, mss: int) -> None:
        """Begin with the initial window, or keep the window in segments for another ``mss``."""
        self.cwnd = max(mss, self.cwnd // self.mss * mss) if self.mss else initial_window(mss)
        self.mss = mss

    def acked(self, octets: int, rtt: RttEstimator, now: int, flight: int) -> None:  # noqa: ARG002
        """Double each round trip in slow start, add one segment each after it."""
        octets = self._slow_start(octets, octets)
        if octets:
            self._acked += octets
            if self._acked >= self.cwnd:
                self._acked -= self.cwnd
                self.cwnd += self.mss

    def _slow_start(self, octets: int, growth: int) -> int:
        """Grow up to ``ssthresh`` and return what octets are left for congestion avoidance."""
        room = self.ssthresh - self.cwnd
        if room <= 0:
            return octets
        self.cwnd += min(growth, room)
        return max(0, octets - room)

    def reduce(self, in_flight: int, now: int) -> None:  # noqa: ARG002
        """Halve (RFC 5681, equation 4)."""
        self._remember()
        self.ssthresh = max(in_flight // 2, _LEAST_SEGMENTS * self.mss)
        self.cwnd = self.ssthresh
        self._acked = 0

    def timed_out(self, in_flight: int, now: int) -> None:
        """Start again from one segment."""
        self.reduce(in_flight, now)
        self.cwnd = self.mss

    def undo(self) -> None:
        """Go back to where the last reduction began, if that is more."""
        cwnd, ssthresh = self._before
        self.cwnd, self.ssthresh = max(self.cwnd, cwnd), max(self.ssthresh, ssthresh)

    def idled(self, rtos: int, now: int) -> None:  # noqa: ARG002
        """Halve for each timeout, down to the restart window (RFC 5681, RFC 2861)."""
        restart = min(initial_window(self.mss), self.cwnd)
        self.ssthresh = max(self.ssthresh, 3 * self.cwnd // 4)
        self.cwnd = max(restart, self.cwnd >> min(rtos, 32))

    def _remember(self) -> None:
        self._before = (self.cwnd, self.ssthresh)


register("reno", Reno)
