"""A box that sends again what it has seen before."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from random import Random

from testbed.packet.segment import Segment
from testbed.sim.middlebox.base import Middlebox
from testbed.sim.middlebox.options import always


class Replay(Middlebox):
    """Sends a copy of some segments again, later.

    :param random: decides which.
    :param chance: of each segment, from 0 to 1.
    :param delays_ns: for each copy, how long after the original it is sent.
    :param where: of which segments.
    """

    def __init__(
        self,
        random: Random,
        *,
        chance: float,
        delays_ns: tuple[int, ...],
        where: Callable[[Segment], bool] = always,
    ) -> None:
        self._random = random
        self._chance = chance
        self._delays_ns = delays_ns
        self._where = where
        self._due: list[tuple[int, int, str, Segment]] = []  # a heap
        self._order = 0

    def process(self, segment: Segment, toward: str, now: int) -> Iterable[Segment]:
        """Return the segment, and remember it."""
        if self._where(segment) and self._random.random() < self._chance:
            for delay_ns in self._delays_ns:
                self._order += 1
                heapq.heappush(self._due, (now + delay_ns, self._order, toward, segment))
        return (segment,)

    def next_timer(self) -> int | None:
        """Return when the next copy is due."""
        return self._due[0][0] if self._due else None

    def handle_timer(self, now: int) -> Iterable[tuple[str, Segment]]:
        """Return the copies that are due."""
        out = []
        while self._due and self._due[0][0] <= now:
            _, _, toward, segment = heapq.heappop(self._due)
            out.append((toward, segment))
        return out
