"""The detection of a full path: draft-ietf-ccwg-bbr-06, sections 5.3.1.2 and 5.3.1.3."""

from __future__ import annotations

from typing import Final

from testbed.stack.tcp.congestion.control import Loss

_GROWTH: Final = 1.25
_ROUNDS: Final = 3
_LOSS_RANGES: Final = 6  # BBRStartupFullLossCnt


class FullPipe:
    """Detects that the delivery rate no longer grows although more is sent.

    :ivar reached: whether the path was full at some time.
    :ivar now: whether it was full since the last restart.
    """

    __slots__ = ("_best", "_count", "now", "reached")

    def __init__(self) -> None:
        self.reached = False
        self.now = False
        self._best = 0
        self._count = 0  # consecutive round trips without growth

    def look(self, rate: int = 0) -> None:
        """Restart the detection at a rate."""
        self.now = False
        self._best, self._count = rate, 0

    def take(self, rate: int) -> None:
        """Process the rate of a round trip that was not application-limited."""
        if self.now:
            return
        if rate >= self._best * _GROWTH:
            self.look(rate)
            return
        self._count += 1
        self.now = self._count >= _ROUNDS
        self.reached |= self.now

    def fill(self) -> None:
        """Mark the path as full."""
        self.reached = True

    def doubt(self) -> None:
        """Mark the path as not full."""
        self.reached = False


class LossRanges:
    """Counts the discontiguous lost ranges of a round trip."""

    __slots__ = ("_count", "_end")

    def __init__(self) -> None:
        self._count = 0
        self._end = -1

    def take(self, loss: Loss) -> None:
        """Count a lost segment, unless it continues the previous one."""
        self._count += loss.start != self._end
        self._end = loss.end

    @property
    def many(self) -> bool:
        """Whether there are too many to be random losses."""
        return self._count >= _LOSS_RANGES

    def restart(self) -> None:
        """Start another round trip."""
        self._count = 0
