"""wVegas, weighted Vegas: draft-xu-mptcp-congestion-control.

Y. Cao, M. Xu, X. Fu, "Delay-based congestion control for multipath TCP", ICNP 2012.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from testbed.stack.tcp.congestion.control import Group, Sample
from testbed.stack.tcp.congestion.coupled import Coupled

_TOTAL_SEGMENTS: Final = 10  # total_alpha: segments of the connection in all queues together
_LEAST_ALPHA: Final = 2.0
_GAMMA_SEGMENTS: Final = 1


@mypyc_attr(allow_interpreted_subclasses=True)
class WVegas(Coupled):
    """Shifts traffic away from a path when its queue grows, before any loss.

    It acts once a round trip. With the window w in segments, the mean round-trip time rtt of the
    round, the smallest one ever, base, and the rates x = w / rtt of the paths::

        diff = w (rtt - base) / rtt     the segments that this subflow has in the queue
        slow start: ends where diff > 1, with a window that leaves the queue empty
        diff >= alpha: alpha = max(2, 10 x / sum of x)
        diff > alpha: w - 1;  diff < alpha: w + 1
        diff > alpha, and rtt - base at least twice its least since the last time: w base / (2 rtt)

    The last rule drains the queue, so that base can be measured again. A loss halves the window. It
    balances queueing delays, whereas the others balance losses.
    """

    __slots__ = ("_alpha", "_base", "_count", "_delay", "_sum")

    def __init__(self, group: Group) -> None:
        super().__init__(group)
        self._alpha: float = _LEAST_ALPHA
        self._base = 0
        self._delay = 0.0  # least queueing delay since the queue was last drained
        self._sum = self._count = 0  # sum and number of the round-trip times of this round

    def on_ack(self, sample: Sample) -> None:
        """Grow in slow start. Adjust to the queue once a round trip."""
        new = self._note(sample)
        if sample.rtt is not None:
            self._base = min(self._base or sample.rtt, sample.rtt)
            self._sum += sample.rtt
            self._count += 1
        if sample.growable:
            self._slow_start(sample.delivered, sample.delivered)
        if new and self._count:
            mean = self._sum / self._count
            self._sum = self._count = 0
            self._judge(mean, sample)

    def _judge(self, rtt: float, sample: Sample) -> None:
        window = self.window / self.mss
        delay = rtt - self._base
        queued = window * delay / rtt
        if self.window < self.threshold:
            if queued > _GAMMA_SEGMENTS:
                self._shrink_to(window - queued + 1)
            return
        if queued >= self._alpha:
            paths = self.paths(sample.now)
            share = self.rate / sum([path.rate for path in paths])
            self._alpha = max(_LEAST_ALPHA, share * _TOTAL_SEGMENTS)
        if queued > self._alpha:
            self._shrink_to(window - 1)
            self._drain(rtt, delay)
        elif queued < self._alpha and sample.growable:
            self.window += self.mss

    def _drain(self, rtt: float, delay: float) -> None:
        """Drain the queue once it has doubled, so that ``base`` is the delay of the path alone."""
        self._delay = min(self._delay or delay, delay)
        if delay >= 2 * self._delay:
            self._shrink_to(self.window / self.mss * self._base / (2 * rtt))
            self._delay = 0.0

    def _shrink_to(self, segments: float) -> None:
        self.window = max(int(segments), self.least_segments) * self.mss
        self.threshold = min(self.threshold, self.window)
