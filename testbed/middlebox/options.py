"""Boxes that take options out of segments, as cautious firewalls do."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

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


class StripOptionsOptions(Options, frozen=True, kw_only=True):
    """Takes TCP options out of segments."""

    options: OptionNames = ("mptcp",)
    where: Where = "all"
    toward: Toward = None

    def __post_init__(self) -> None:
        check_options(self.options)


class StripOptions(Middlebox):
    """Takes all options of some classes out.

    :param kinds: the classes.
    :param where: from which segments.
    :param toward: in one direction only.
    """

    def __init__(
        self, *kinds: type[Option], where: Matches = always, toward: str | None = None
    ) -> None:
        self._kinds = kinds
        self._where = where
        self.toward = toward

    def process(self, segment: Segment, toward: str, now: int) -> Iterable[Segment]:
        """Return the segment without them."""
        if not self._where(segment):
            return (segment,)
        left = tuple(each for each in segment.options if not isinstance(each, self._kinds))
        if len(left) == len(segment.options):
            return (segment,)
        return (msgspec.structs.replace(segment, options=left),)


def _make(chosen: StripOptionsOptions, site: Site) -> Middlebox:
    kinds = option_kinds(chosen.options)
    return StripOptions(*kinds, where=WHERE[chosen.where], toward=site.toward(chosen.toward))


KIND = Kind(options=StripOptionsOptions, make=_make)
