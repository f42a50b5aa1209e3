"""Schedulers: which subflow gets the next data.

A scheduler belongs to one connection.  Adding one is adding a module whose name is the
scheduler's, with ``create``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Protocol, TypeVar

from testbed.errors import InputError


class Candidate(Protocol):
    """A subflow that can take data now."""

    @property
    def number(self) -> int:
        """Counts the subflows of a connection in the order they were made."""

    @property
    def smoothed_rtt_ns(self) -> int | None:
        """RFC 6298's SRTT, or ``None`` before the first sample."""

    @property
    def cwnd(self) -> int:
        """The congestion window in octets."""


C = TypeVar("C", bound=Candidate)


class Scheduler(Protocol):
    """Chooses."""

    def select(self, candidates: Sequence[C]) -> C:
        """Return one of the candidates, of which there is at least one."""

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
