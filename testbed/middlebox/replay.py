"""A box that sends segments again."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Annotated

import msgspec

from testbed.middlebox.base import Chance, Middlebox
from testbed.middlebox.kind import Kind, Options, Site, Toward
from testbed.middlebox.segments import WHERE, Matches, Where, always
from testbed.packet.segment import Segment
from testbed.units import parse_time


class ReplayOptions(Options, frozen=True, kw_only=True):
    """Sends copies of some segments again."""

    chance: Annotated[
        float,
        msgspec.Meta(ge=0, le=1, description="The probability for each segment, from 0 to 1."),
    ] = 0.1
    delay: Annotated[str, msgspec.Meta(description="The time after which the copy is sent.")] = "1s"
    where: Where = "all"
    toward: Toward = None

    def __post_init__(self) -> None:
        parse_time(self.delay)


class Replay(Middlebox):
    """Sends copies of some segments later.

    :param random: the random source that selects the segments.
    :param chance: the probability for each segment, from 0 to 1.
    :param delays_ns: the delay of each copy after the original.
    :param where: a function that returns whether a segment may be copied.
    :param toward: the only direction in which the box acts, or ``None`` for both.
    """

    def __init__(
        self,
        random: Chance,
        *,
        chance: float,
        delays_ns: tuple[int, ...],
        where: Matches = always,
        toward: str | None = None,
    ) -> None:
        self.toward = toward
        self._random = random
        self._chance = chance
        self._delays_ns = delays_ns
        self._where = where
        self._due: list[tuple[int, int, str, Segment]] = []  # a heap
        self._order = 0

    def process(self, segment: Segment, toward: str, now: int) -> Iterable[Segment]:
        """Return the segment, and schedule its copies."""
        if self._where(segment) and self._random.random() < self._chance:
            for delay_ns in self._delays_ns:
                self._order += 1
                heapq.heappush(self._due, (now + delay_ns, self._order, toward, segment))
        return (segment,)

    def next_timer(self) -> int | None:
        """Return the time of the next copy."""
        return self._due[0][0] if self._due else None

    def handle_timer(self, now: int) -> Iterable[tuple[str, Segment]]:
        """Return the copies that are due."""
        out = []
        while self._due and self._due[0][0] <= now:
            _, _, toward, segment = heapq.heappop(self._due)
            out.append((toward, segment))
        return out


def _make(chosen: ReplayOptions, site: Site) -> Middlebox:
    return Replay(
        site.random,
        chance=chosen.chance,
        delays_ns=(parse_time(chosen.delay),),
        where=WHERE[chosen.where],
        toward=site.toward(chosen.toward),
    )


KIND = Kind(options=ReplayOptions, make=_make)
