"""CUBIC: RFC 9438, with HyStart++ (RFC 9406) and HyStart's ACK train."""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from testbed.stack.tcp.congestion.control import NO_THRESHOLD, Group, Sample
from testbed.stack.tcp.congestion.hystart import HyStart
from testbed.stack.tcp.congestion.reno import Reno

_C: Final = 0.4  # section 5
_BETA: Final = 0.7  # section 4.6
_ALPHA: Final = 3 * (1 - _BETA) / (1 + _BETA)  # section 4.3
_NS: Final = 1e9


@mypyc_attr(allow_interpreted_subclasses=True)
class Cubic(Reno):
    """Window growth as a cubic function of the time since the last reduction.

    ``w_max``, ``w_est`` and the like are in segments, as in the RFC.
    """

    __slots__ = ("_credit", "_cubic_before", "_hystart", "epoch_ns", "k", "w_est", "w_max")

    def __init__(self, group: Group) -> None:
        super().__init__(group)
        self.w_max = 0.0
        self.w_est = 0.0
        self.k = 0.0
        self.epoch_ns: int | None = None  # start of the current congestion avoidance stage
        self._hystart = HyStart()
        self._credit = 0.0  # growth of the window, less than a segment so far
        self._cubic_before: tuple[float, float, float, int | None] = (0.0, 0.0, 0.0, None)

    def on_ack(self, sample: Sample) -> None:
        """Grow in the Reno-friendly, the concave or the convex region (sections 4.2 to 4.5)."""
        if not sample.growable:
            return
        octets, now = sample.delivered, sample.now
        if self.window < self.threshold:
            octets = self._slow_start_watched(sample)
            if not octets:
                return
        mss, window = self.mss, self.window / self.mss
        epoch_ns = self.epoch_ns
        if epoch_ns is None:
            epoch_ns = self._begin_epoch(window, now)
        alpha = _ALPHA if self.w_est < self.w_max else 1.0
        self.w_est += alpha * octets / self.window
        offset = (now - epoch_ns) / _NS - self.k
        if self.w_est > _C * offset * offset * offset + self.w_max:  # Reno-friendly
            self._credit = 0.0
            self.window = max(self.window, int(self.w_est * mss))
            return
        offset += (sample.smoothed or 0) / _NS
        target = min(max(_C * offset * offset * offset + self.w_max, window), 1.5 * window)
        self._credit += (target - window) / window * octets
        whole = int(self._credit)
        self._credit -= whole
        self.window += whole

    def _slow_start_watched(self, sample: Sample) -> int:
        """Grow as HyStart allows. It watches only the first slow start (RFC 9406, 4.3)."""
        octets = growth = sample.delivered
        if self.threshold == NO_THRESHOLD:
            growth = self._hystart.growth(sample, self.window // self.mss)
            if self._hystart.ended:
                self.threshold = self.window
                return 0
        return self._slow_start(octets, growth)

    def _begin_epoch(self, window: float, now: int) -> int:
        self.epoch_ns = now
        self.w_est = window
        self._credit = 0.0
        if self.w_max < window:
            self.w_max = window
        self.k = ((self.w_max - window) / _C) ** (1 / 3)
        return now

    def on_loss(self, used: int, now: int) -> None:
        """Multiply by beta, with fast convergence (sections 4.6 and 4.7)."""
        del now
        self._remember()
        self._cubic_before = (self.w_max, self.w_est, self.k, self.epoch_ns)
        window = self.window / self.mss
        self.w_max = window * (1 + _BETA) / 2 if window < self.w_max else window
        self.epoch_ns = None
        # Section 4.6: reduce the part in use if the application, not the window, was the limit.
        self._reduce_to(int(min(self.window, used) * _BETA))

    def on_idle(self, timeouts: int, now: int) -> None:
        """Reduce as Reno does. The idle time does not count (section 5.8)."""
        super().on_idle(timeouts, now)
        self.epoch_ns = None

    def on_undo(self) -> None:
        """Restore the state before the last reduction (section 4.9)."""
        super().on_undo()
        self.w_max, self.w_est, self.k, self.epoch_ns = self._cubic_before
