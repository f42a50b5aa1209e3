"""The interface of middleboxes: sans-IO, like that of endpoints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from testbed.packet.segment import Segment


class Chance(Protocol):
    """The random source of a box: a seeded ``random.Random`` of its wire or simulation."""

    def random(self) -> float:
        """Return a number from 0 to less than 1."""

    def getrandbits(self, k: int, /) -> int:
        """Return a number of ``k`` bits."""


class Middlebox:
    """A middlebox. This base class passes all segments.

    The direction of a segment, ``toward``, is the end of the link, ``a`` or ``b``, to which it
    travels. Times are nanoseconds of a monotonic clock.

    :ivar toward: the direction of the segments that the box sees, or ``None`` for both directions.
    """

    toward: str | None = None

    def process(self, segment: Segment, toward: str, now: int) -> Iterable[Segment]:
        """Return the segments that replace a segment: none, itself, another one or several."""
        return (segment,)

    def next_timer(self) -> int | None:
        """Return the time to call ``handle_timer``, or ``None`` if there is no timer."""
        return None

    def handle_timer(self, now: int) -> Iterable[tuple[str, Segment]]:
        """Return the segments that the box sends by itself, each with its ``toward``."""
        return ()


def other_end(end: str) -> str:
    """Return ``b`` for ``a``, and ``a`` for ``b``."""
    return "b" if end == "a" else "a"
