"""Whether the path carries all it can: draft-ietf-ccwg-bbr-06, sections 5.3.1.2 and 5.3.1.3."""

from __future__ import annotations

from typing import Final

from testbed.stack.tcp.congestion.control import Loss

_GROWTH: Final = 1.25
_ROUNDS: Final = 3
_LOSS_RANGES: Final = 6  # BBRStartupFullLossCnt


class FullPipe:
    """Looks for a rate that does not grow any more, though more is sent.

    :ivar reached: the path has been full at some time.
    :ivar now: it has been so since the last look began.
    """

    __slots__ = ("_best", "_count", "now", "reached")

    def __init__(self) -> None:
        self.reached = False
        self.now = False
        self._best = 0
        self._count = 0  # round trips without growth

    def look(self, rate: int = 0) -> None:
        """Begin to look, from a rate."""
        self.now = False
        self._best, self._count = rate, 0

    def take(self, rate: int) -> None:
        """Take the rate of a round trip that the application has not limited."""
        if self.now:
            return
        if rate >= self._best * _GROWTH:
            self.look(rate)
            return
        self._count += 1
        self.now = self._count >= _ROUNDS
        self.reached |= self.now

    def fill(self) -> None:
        """Take from elsewhere that it is full."""
        self.reached = True

    def doubt(self) -> None:
        """Take back that it has been full."""
        self.reached = False


class LossRanges:
    """Counts the ranges lost in a round trip that do not touch one another."""

    __slots__ = ("_count", "_end")

    def __init__(self) -> None:
        self._count = 0
        self._end = -1

    def take(self, loss: Loss) -> None:
        """Count a segment unless it continues the one before."""
        self._count += loss.start != self._end
        self._end = loss.end

    @property
    def many(self) -> bool:
        """Whether there are too many for chance."""
        return self._count >= _LOSS_RANGES

    def restart(self) -> None:
        """Begin another round trip."""
        self._count = 0
