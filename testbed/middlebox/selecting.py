"""What boxes have in common that look for TCP options: which ones, on which segments, whither."""

from __future__ import annotations

from collections.abc import Callable

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


class Selection(Options, frozen=True, kw_only=True):
    """Base of their options."""

    options: OptionNames
    where: Where = "all"
    toward: Toward = None

    def __post_init__(self) -> None:
        check_options(self.options)


class Selecting(Middlebox):
    """Base of such boxes.

    :param kinds: the classes of options.
    :param where: on which segments.
    :param toward: in one direction only.
    """

    def __init__(
        self, *kinds: type[Option], where: Matches = always, toward: str | None = None
    ) -> None:
        self._kinds = kinds
        self._where = where
        self.toward = toward


def kind(options: type[Selection], box: Callable[..., Selecting]) -> Kind:
    """Return the kind of a box, given its options and its class."""

    def make(chosen: Selection, site: Site) -> Middlebox:
        kinds = option_kinds(chosen.options)
        return box(*kinds, where=WHERE[chosen.where], toward=site.toward(chosen.toward))

    return Kind(options=options, make=make)
