"""A box that removes options from segments, as cautious firewalls do."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from testbed.middlebox import selecting
from testbed.middlebox.segments import OptionNames
from testbed.packet.segment import Segment


class StripOptionsOptions(selecting.Selection, frozen=True, kw_only=True):
    """Takes TCP options out of segments."""

    options: OptionNames = ("mptcp",)


class StripOptions(selecting.Selecting):
    """Removes all options of some classes."""

    def process(self, segment: Segment, toward: str, now: int) -> Iterable[Segment]:
        """Return the segment without these options."""
        if not self._where(segment):
            return (segment,)
        left = tuple(each for each in segment.options if not isinstance(each, self._kinds))
        if len(left) == len(segment.options):
            return (segment,)
        return (msgspec.structs.replace(segment, options=left),)


KIND = selecting.kind(StripOptionsOptions, StripOptions)
