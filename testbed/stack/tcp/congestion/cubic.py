"""CUBIC: RFC 9438, with HyStart++ (RFC 9406)."""

from __future__ import annotations

from typing import Final

from testbed.stack.tcp.congestion import NO_THRESHOLD, register
from testbed.stack.tcp.congestion.hystart import HyStart
from testbed.stack.tcp.congestion.reno import Reno
from testbed.stack.tcp.rtt import RttEstimator

_C: Final = 0.4  # section 5
_BETA: Final = 0.7  # section 4.6
_ALPHA: Final = 3 * (1 - _BETA) / (1 + _BETA)  # section 4.3
_LEAST_SEGMENTS: Final = 2
_NS: Final = 1e9


class Cubic(Reno):
    """Window growth as a cubic function of the time since the last reduction.

    ``w_max``, ``w_est`` and the like are in segments, as in the RFC.
    """

    __slots__ = (
        "_credit",
        "_cubic_before",
        "_hystart",
        "cwnd_epoch",
        "epoch_ns",
        "k",
        "w_est",
        "w_max",
    )

    def __init__(self) -> None:
        super().__init__()
        self.w_max = 0.0
        self.w_est = 0.0
        self.k = 0.0
        self.cwnd_epoch = 0.0
        self.epoch_ns: int | None = None  # start of the current congestion avoidance stage
        self._hystart = HyStart()
        self._credit = 0.0  # octets the window has grown by that make no whole one yet
        self._cubic_before: tuple[float, float, float, int | None] = (0.0, 0.0, 0.0, None)

    def acked(self, octets: int, rtt: RttEstimator, now: int, flight: int) -> None:
        """Grow in the Reno-friendly, the concave or the convex region (sections 4.2 to 4.5)."""
        if self.cwnd < self.ssthresh:
            octets = self._slow_start_watched(octets, rtt, flight)
            if not octets:
                return
        mss, cwnd = self.mss, self.cwnd / self.mss
        if self.epoch_ns is None:
            self._begin_epoch(cwnd, now)
        assert self.epoch_ns is not None  # noqa: S101 - for mypy
        alpha = _ALPHA if self.w_est < self.w_max else 1.0
        self.w_est += alpha * octets / self.cwnd
        elapsed = (now - self.epoch_ns) / _NS
        offset = elapsed - self.k
        if self.w_est > _C * offset * offset * offset + self.w_max:  # Reno-friendly
            self._credit = 0.0
            self.cwnd = max(self.cwnd, int(self.w_est * mss))
            return
        offset += (rtt.smoothed or 0) / _NS
        target = min(max(_C * offset * offset * offset + self.w_max, cwnd), 1.5 * cwnd)
        self._credit += (target - cwnd) / cwnd * octets
        whole = int(self._credit)
        self._credit -= whole
        self.cwnd += whole

    def _slow_start_watched(self, octets: int, rtt: RttEstimator, flight: int) -> int:
        """Grow as HyStart++ allows, which watches the first slow start only (RFC 9406, 4.3)."""
        growth = octets
        if self.ssthresh == NO_THRESHOLD:
            growth = self._hystart.growth(octets, rtt.latest, flight)
            if self._hystart.ended:
                self.ssthresh = self.cwnd
                return 0
        return self._slow_start(octets, growth)

    def _begin_epoch(self, cwnd: float, now: int) -> None:
        self.epoch_ns = now
        self.cwnd_epoch = self.w_est = cwnd
        self._credit = 0.0
        if self.w_max < cwnd:
            self.w_max = cwnd
        self.k = ((self.w_max - cwnd) / _C) ** (1 / 3)

    def reduce(self, in_flight: int, now: int) -> None:
        """Multiply by beta, with fast convergence (sections 4.6 and 4.7)."""
        del now
        self._remember()
        self._cubic_before = (self.w_max, self.w_est, self.k, self.epoch_ns)
        cwnd = self.cwnd / self.mss
        self.w_max = cwnd * (1 + _BETA) / 2 if cwnd < self.w_max else cwnd
        self.epoch_ns = None
        # Section 4.6: from what is in flight if the application, not the window, was the limit.
        self.ssthresh = max(int(min(self.cwnd, in_flight) * _BETA), _LEAST_SEGMENTS * self.mss)
        self.cwnd = self.ssthresh

    def undo(self) -> None:
        """Go back to where the last reduction began (section 4.9)."""
        super().undo()
        self.w_max, self.w_est, self.k, self.epoch_ns = self._cubic_before

    def idled(self, rtos: int, now: int) -> None:
        """Shrink as Reno does; the time without data does not count (section 5.8)."""
        super().idled(rtos, now)
        self.epoch_ns = None


register("cubic", Cubic)
