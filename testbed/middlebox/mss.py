"""A box that lowers the MSS of hosts, as routers in front of a tunnel do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from testbed.middlebox.base import Middlebox
from testbed.middlebox.kind import Kind, Options, Site, Toward
from testbed.packet.options import MaximumSegmentSize, Option
from testbed.packet.segment import SYN, Segment


class ClampMssOptions(Options, frozen=True, kw_only=True):
    """Lowers the MSS that SYNs announce."""

    mss: Annotated[
        int, msgspec.Meta(ge=1, le=65_535, description="The largest MSS that passes, in octets.")
    ]
    toward: Toward = None


class ClampMss(Middlebox):
    """Lowers a greater MSS to its own.

    :param toward: the only direction in which the box acts, or ``None`` for both.
    """

    def __init__(self, mss: int, toward: str | None = None) -> None:
        self._clamped = MaximumSegmentSize(mss)
        self.toward = toward

    def process(self, segment: Segment, toward: str, now: int) -> Iterable[Segment]:
        """Return the segment with the lower of both MSS."""
        if not segment.flags & SYN:
            return (segment,)
        options = tuple(map(self._lowered, segment.options))
        if options == segment.options:
            return (segment,)
        return (msgspec.structs.replace(segment, options=options),)

    def _lowered(self, option: Option) -> Option:
        greater = isinstance(option, MaximumSegmentSize) and option.mss > self._clamped.mss
        return self._clamped if greater else option


def _make(chosen: ClampMssOptions, site: Site) -> Middlebox:
    return ClampMss(chosen.mss, site.toward(chosen.toward))


KIND = Kind(options=ClampMssOptions, make=_make)
