"""A middlebox that loses segments, but at equal distances."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from testbed.middlebox.base import Middlebox
from testbed.middlebox.kind import Kind, Options, Site
from testbed.packet.segment import Segment


class ThinOutOptions(Options, frozen=True, kw_only=True):
    """Loses segments with payload.

    :param every: the number of segments that pass before one is lost.
    :param toward: only of those that go to this node.
    """

    every: Annotated[int, msgspec.Meta(ge=1)] = 100
    toward: str


class ThinOut(Middlebox):
    """The box.

    :param toward: the end of the link, ``a`` or ``b``.
    """

    def __init__(self, every: int, toward: str) -> None:
        self._every = every
        self._toward = toward
        self._passed = 0

    def process(self, segment: Segment, toward: str, now: int) -> Iterable[Segment]:
        """Return what a segment becomes: itself, or nothing."""
        if toward != self._toward or not segment.payload:
            return (segment,)
        if self._passed == self._every:
            self._passed = 0
            return ()
        self._passed += 1
        return (segment,)


def make(options: ThinOutOptions, site: Site) -> Middlebox:
    """Return the box with these options, on the link where it stands."""
    return ThinOut(options.every, site.end(options.toward))


THIN_OUT = Kind(options=ThinOutOptions, make=make)
