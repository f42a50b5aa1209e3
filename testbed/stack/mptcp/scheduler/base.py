"""What a scheduler is: it belongs to one connection, and says which subflow gets the next data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, TypeVar


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

    def sending_ns(self, octets: int) -> int:
        """Return how long so many octets take to leave, beside what it has already."""

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

    def share(self, chosen: C, full: Sequence[C], unsent: int, window: int) -> int:
        """Return how many octets the chosen one may have while others can take nothing.

        With 0, new data had better wait for one of those.

        :param full: subflows that work but can take nothing now; there is at least one.
        :param unsent: octets no subflow has been given.
        :param window: octets that may leave behind new data before that is acknowledged.
        """
