"""The cost of one packet of an attack for the attacked endpoint."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

LAST: Final = 1000  # packets that a cost is taken of
GROUP: Final = 50  # packets that are measured at a time

Clock = Callable[[], float]


class Cost(msgspec.Struct, frozen=True):
    """What one packet costs.

    :param each: at the bound or at the end, whichever is more, in the unit of the clock.
    :param growth: this divided by the cost at a tenth of the bound.
    """

    each: float
    growth: float


class Meter:
    """Measures packets in groups.

    The cost is the lower quartile of groups, as other work on the machine can only add to it.

    :param clock: what is measured: by default the processor time in microseconds.
    """

    def __init__(self, clock: Clock = lambda: time.thread_time_ns() / 1000) -> None:
        self.packets = 0
        self._clock = clock
        self._groups: list[tuple[int, float]] = []  # packets until the end of each; cost of one

    @contextlib.contextmanager
    def group(self, packets: int) -> Iterator[None]:
        """Measure what is done for this many packets."""
        began = self._clock()
        yield
        each = (self._clock() - began) / packets
        self.packets += packets
        self._groups.append((self.packets, each))

    def cost(self, bound: int = 0) -> Cost:
        """Return the cost of a packet.

        :param bound: after how many packets the state is as large as it gets; by default after the
            last one.
        """
        bound = min(bound or self.packets, self.packets)
        span = min(LAST, bound // 10)
        each = max(self._quartile(end, span) for end in (bound, self.packets))
        return Cost(each, each / self._quartile(bound // 10, span))

    def _quartile(self, end: int, span: int) -> float:
        """Return the cost of one of the packets before the ``end``-th one."""
        some = sorted(each for at, each in self._groups if end - span < at <= end)
        some = some or [self._groups[0][1]]
        return some[len(some) // 4]
