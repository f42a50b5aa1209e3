"""Schedulers: which subflow gets the next data.

A scheduler belongs to one connection.  Adding one is adding a module whose name is the
scheduler's, with ``create``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

from testbed.errors import InputError


class Candidate(Protocol):
    """A subflow that can take data now."""

    @property
    def number(self) -> int:
        """Counts the subflows of a connection in the order they were made."""

    @property
    def smoothed_rtt_ns(self) -> int | None:
        """RFC 6298's SRTT, or ``None`` before the first sample."""

    def expected_ns(self, octets: int = 0) -> int | None:
        """Return how long it takes until what it has, and so many octets more, is acknowledged.

        ``None`` before the first sample of the round-trip time.
        """

    def within(self, ns: int) -> int:
        """Return how many octets more could be acknowledged in a time: at least one segment."""


C = TypeVar("C", bound=Candidate)

NO_LIMIT: Final = 1 << 62


class Scheduler(Protocol):
    """Chooses."""

    def select(self, candidates: Sequence[C]) -> C:
        """Return one of the candidates, of which there is at least one."""

    def turn(self, chosen: C, candidates: Sequence[C]) -> int:
        """Return how many octets the chosen one may have before there is another choice."""

    def waits(self, chosen: Candidate, full: Sequence[C], unsent: int) -> bool:
        """Return whether new data had better wait for another subflow than the chosen one.

        :param full: subflows that work but can take nothing now.
        :param unsent: octets no subflow has been given.
        """


def names() -> tuple[str, ...]:
    """Return the names of all schedulers."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def create(name: str) -> Scheduler:
    """Return a scheduler for one connection.

    :raises InputError: there is none of that name.
    """
    if name not in names():
        raise InputError(f"unknown scheduler {name!r}", hint=f"there are: {', '.join(names())}")
    scheduler: Scheduler = importlib.import_module(f"{__name__}.{name}").create()
    return scheduler
