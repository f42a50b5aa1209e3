"""RED (Floyd and Jacobson, IEEE/ACM Transactions on Networking 1(4), 1993), as in tc-red(8)."""

from __future__ import annotations

from collections.abc import Callable

from testbed.wire.queues.discipline import H, Line, Surroundings, Waiting
from testbed.wire.queues.kinds import Red


class RedQueue(Line[H]):
    """One queue under RED.

    :param octet_ns: how long an octet takes at the rate of the wire, for the time it is idle.
    """

    __slots__ = (
        "_around",
        "_average",
        "_count",
        "_idle_since_ns",
        "_octet_ns",
        "_options",
        "_random",
    )

    def __init__(
        self, options: Red, around: Surroundings[H], octet_ns: Callable[[], float], now_ns: int
    ) -> None:
        super().__init__()
        self._options = options
        self._around = around
        self._octet_ns = octet_ns
        self._average = 0.0  # octets
        self._count = -1  # packets since the last that was dropped or marked
        self._random = 0.0
        self._idle_since_ns: int | None = now_ns

    def change(self, queue: Red) -> None:
        """See :class:`Discipline`."""
        self._options = queue

    def enqueue(self, item: Waiting[H], now_ns: int) -> None:
        """See :class:`Discipline`; the paper's section 4."""
        self._measure(now_ns)
        kept: Waiting[H] | None = item
        least, most = self._options.thresholds
        if self._average >= most:
            self._count = -1
            kept = None if self._options.harddrop else self._marked(item)
        elif self._average >= least:
            if self._is_chosen(least, most):
                kept = self._marked(item)
        else:
            self._count = -1
        if kept is None:
            self._around.drop_early(item)
        elif self.octets + item.size > self._options.limit:
            self._around.drop_full(kept)
        else:
            self.append(kept)

    def dequeue(self, now_ns: int) -> Waiting[H] | None:
        """See :class:`Discipline`."""
        item = self.pop()
        if not self.items and self._idle_since_ns is None:
            self._idle_since_ns = now_ns
        return item

    def _measure(self, now_ns: int) -> None:
        """Move the average towards the queue, or as if small packets had left while it was idle."""
        weight = 2.0**-self._options.weight_log
        if self._idle_since_ns is None:
            self._average += weight * (self.octets - self._average)
            return
        packet_ns = self._options.avpkt * self._octet_ns()
        if packet_ns > 0:
            idle = (now_ns - self._idle_since_ns) / packet_ns
            self._average *= (1 - weight) ** idle
        self._idle_since_ns = None

    def _is_chosen(self, least: int, most: int) -> bool:
        """Spread the drops evenly (the paper's section 7, method 2)."""
        self._count += 1
        if not self._count:
            self._random = self._around.random()
            return False
        share = (self._average - least) / (most - least) * self._options.probability
        if share * self._count < self._random:
            return False
        self._count = 0
        self._random = self._around.random()
        return True

    def _marked(self, item: Waiting[H]) -> Waiting[H] | None:
        return self._around.mark(item) if self._options.ecn else None
