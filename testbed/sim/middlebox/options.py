"""Boxes that take options out of segments, as cautious firewalls do."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from testbed.packet.options import Option
from testbed.packet.segment import SYN, Segment
from testbed.sim.middlebox.base import Middlebox


def on_syn(segment: Segment) -> bool:
    """Tell whether a segment has SYN."""
    return bool(segment.flags & SYN)


def on_data(segment: Segment) -> bool:
    """Tell whether a segment has no SYN."""
    return not segment.flags & SYN


def always(_: Segment) -> bool:
    """Return True."""
    return True


class StripOptions(Middlebox):
    """Takes all options of some classes out.

    :param kinds: the classes.
    :param where: from which segments.
    :param toward: in one direction only.
    """

    def __init__(
        self,
        *kinds: type[Option],
        where: Callable[[Segment], bool] = always,
        toward: str | None = None,
    ) -> None:
        self._kinds = kinds
        self._where = where
        self._toward = toward

    def process(self, segment: Segment, toward: str, now: int) -> Iterable[Segment]:
        """Return the segment without them."""
        if self._toward not in (None, toward) or not self._where(segment):
            return (segment,)
        left = tuple(each for each in segment.options if not isinstance(each, self._kinds))
        if len(left) == len(segment.options):
            return (segment,)
        return (msgspec.structs.replace(segment, options=left),)
