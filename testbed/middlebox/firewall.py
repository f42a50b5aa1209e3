"""A box that drops segments with unknown options (RFC 8684, section 6)."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.middlebox import selecting
from testbed.middlebox.segments import OptionNames
from testbed.packet.segment import Segment


class FirewallOptions(selecting.Selection, frozen=True, kw_only=True):
    """Drops whole segments that have one of some TCP options."""

    options: OptionNames = ("unknown",)


class Firewall(selecting.Selecting):
    """Drops segments with options of some classes."""

    def process(self, segment: Segment, toward: str, now: int) -> Iterable[Segment]:
        """Return the segment unless it is dropped."""
        kinds = self._kinds
        if any(isinstance(each, kinds) for each in segment.options) and self._where(segment):
            return ()
        return (segment,)


KIND = selecting.kind(FirewallOptions, Firewall)
