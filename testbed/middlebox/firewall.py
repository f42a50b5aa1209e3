"""A box that drops segments with options it does not know (RFC 8684, section 6)."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.middlebox.base import Middlebox
from testbed.middlebox.kind import Kind, Options, Site, Toward
from testbed.middlebox.segments import (
    WHERE,
    Matches,
    OptionNames,
    Where,
    always,
    check_options,
    option_kinds,
)
from testbed.packet.options import Option
from testbed.packet.segment import Segment


class FirewallOptions(Options, frozen=True, kw_only=True):
    """Drops whole segments that have one of some TCP options."""

    options: OptionNames = ("unknown",)
    where: Where = "all"
    toward: Toward = None

    def __post_init__(self) -> None:
        check_options(self.options)


class Firewall(Middlebox):
    """Drops segments with options of some classes.

    :param kinds: the classes.
    :param where: which of the segments that have one.
    :param toward: in one direction only.
    """

    def __init__(
        self, *kinds: type[Option], where: Matches = always, toward: str | None = None
    ) -> None:
        self._kinds = kinds
        self._where = where
        self.toward = toward

    def process(self, segment: Segment, toward: str, now: int) -> Iterable[Segment]:
        """Return the segment, or nothing."""
        kinds = self._kinds
        if any(isinstance(each, kinds) for each in segment.options) and self._where(segment):
            return ()
        return (segment,)


def _make(chosen: FirewallOptions, site: Site) -> Middlebox:
    kinds = option_kinds(chosen.options)
    return Firewall(*kinds, where=WHERE[chosen.where], toward=site.toward(chosen.toward))


KIND = Kind(options=FirewallOptions, make=_make)
