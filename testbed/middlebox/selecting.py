"""Common parts of the boxes that look for TCP options."""

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
    """Base class of the options of these boxes."""

    options: OptionNames
    where: Where = "all"
    toward: Toward = None

    def __post_init__(self) -> None:
        check_options(self.options)


class Selecting(Middlebox):
    """Base class of these boxes.

    :param kinds: the classes of the options to look for.
    :param where: a function that returns whether to look at a segment.
    :param toward: the only direction in which the box acts, or ``None`` for both.
    """

    def __init__(
        self, *kinds: type[Option], where: Matches = always, toward: str | None = None
    ) -> None:
        self._kinds = kinds
        self._where = where
        self.toward = toward


def kind(options: type[Selection], box: Callable[..., Selecting]) -> Kind:
    """Return the kind of a box for its options and its class."""

    def make(chosen: Selection, site: Site) -> Middlebox:
        kinds = option_kinds(chosen.options)
        return box(*kinds, where=WHERE[chosen.where], toward=site.toward(chosen.toward))

    return Kind(options=options, make=make)
