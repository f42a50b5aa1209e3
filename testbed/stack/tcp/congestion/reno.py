"""Reno: RFC 5681, counting octets (RFC 3465)."""

from __future__ import annotations

from typing import ClassVar

from mypy_extensions import mypyc_attr

from testbed.stack.tcp.congestion.control import INITIAL_SEGMENTS, NO_THRESHOLD, Group, Sample


@mypyc_attr(allow_interpreted_subclasses=True)
class Reno:
    """Slow start, congestion avoidance, halving."""

    pacing_rate: ClassVar[int] = 0  # no pacing: ACKs clock the sender
    proportional: ClassVar[bool] = True
    least_segments: ClassVar[int] = 2  # least window after a loss

    __slots__ = ("_acked", "_before", "mss", "threshold", "window")

    def __init__(self, group: Group) -> None:
        del group
        self.mss = 0
        self.window = 0
        self.threshold = NO_THRESHOLD
        self._acked = 0  # octets acknowledged since the window last grew
        self._before = (0, 0)

    def start(self, mss: int, segments: int) -> None:
        """Start with a window of segments."""
        self.mss = mss
        self.window = segments * mss

    def resize(self, mss: int) -> None:
        """Scale the window to another segment size."""
        self.window = max(mss, self.window // self.mss * mss)
        self.mss = mss

    def on_sent(self, octets: int, in_flight: int, now: int) -> None:
        """Do nothing: only ACKs count."""

    def on_ack(self, sample: Sample) -> None:
        """Double each round trip in slow start, add one segment each round trip after it."""
        if not sample.growable:
            return
        octets = self._slow_start(sample.delivered, sample.delivered)
        if octets:
            self._acked += octets
            if self._acked >= self.window:
                self._acked -= self.window
                self.window += self.mss

    def _slow_start(self, octets: int, growth: int) -> int:
        """Grow up to the threshold; return the octets that remain for congestion avoidance."""
        room = self.threshold - self.window
        if room <= 0:
            return octets
        self.window += min(growth, room)
        return max(0, octets - room)

    def on_loss(self, used: int, now: int) -> None:  # noqa: ARG002
        """Halve (RFC 5681, equation 4)."""
        self._remember()
        self._reduce_to(used // 2)

    def on_timeout(self, used: int, now: int, *, again: bool) -> None:
        """Restart from one segment. The threshold stays if this is a repeated timeout."""
        if not again:
            self.on_loss(used, now)
        self.window = self.mss

    def on_idle(self, timeouts: int, now: int) -> None:  # noqa: ARG002
        """Halve for each timeout, down to the restart window (RFC 5681, RFC 2861)."""
        restart = min(INITIAL_SEGMENTS * self.mss, self.window)
        self.threshold = max(self.threshold, 3 * self.window // 4)
        self.window = max(restart, self.window >> min(timeouts, 32))

    def on_undo(self) -> None:
        """Restore the window before the last reduction, if it was larger."""
        window, threshold = self._before
        self.window, self.threshold = max(self.window, window), max(self.threshold, threshold)

    def _remember(self) -> None:
        self._before = (self.window, self.threshold)

    def _reduce_to(self, octets: int) -> None:
        self.threshold = self.window = max(octets, self.least_segments * self.mss)
        self._acked = 0
