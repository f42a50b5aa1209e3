"""The shape of a middlebox: sans-IO, like an endpoint."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from testbed.packet.segment import Segment


class Chance(Protocol):
    """The source of a box's randomness: a seeded ``random.Random`` of its wire or simulation."""

    def random(self) -> float:
        """Return a number from 0 to less than 1."""

    def getrandbits(self, k: int, /) -> int:
        """Return a number of ``k`` bits."""


class Middlebox:
    """Lets everything pass.

    The direction of a segment, ``toward``, is the end of the link, ``a`` or ``b``, to which it
    travels.  Times are nanoseconds of any clock that does not go back.

    :ivar toward: the box sees segments of this direction only; ``None``: of both.
    """

    toward: str | None = None

    def process(self, segment: Segment, toward: str, now: int) -> Iterable[Segment]:
        """Return what a segment becomes: nothing, itself, another or several."""
        return (segment,)

    def next_timer(self) -> int | None:
        """Return when ``handle_timer`` has something to do, or ``None``: never."""
        return None

    def handle_timer(self, now: int) -> Iterable[tuple[str, Segment]]:
        """Return segments that leave by themselves, each with its ``toward``."""
        return ()


def other_end(end: str) -> str:
    """Return ``b`` for ``a``, and the other way round."""
    return "b" if end == "a" else "a"
