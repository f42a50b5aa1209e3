"""The present subflows of a connection, and records of the past ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from testbed.packet.address import Address
from testbed.stack.connection import ConnectionFailure
from testbed.stack.mptcp.info import describe_subflow, joined
from testbed.stack.mptcp.subflow import Subflow

_REMEMBERED: Final = 16


class Owner(Protocol):
    """The service of the connection that its subflows need."""

    def release(self, local: Address) -> None:
        """Release the local port of a joined subflow that has ended."""


class Subflows:
    """The subflows of one connection. Only the connection adds and removes them.

    :param owner: releases the local port of a joined subflow that has ended.
    :ivar there: the subflows of the connection, without half-open ones of the peer. The parts of
        the connection share this list, so it stays the same object.
    :ivar last_words: the failure of the last subflow that ended with one.
    """

    __slots__ = ("_ended", "_made", "_owner", "_several", "last_words", "there")

    def __init__(self, owner: Owner) -> None:
        self.there: list[Subflow] = []
        self._ended: tuple[dict[str, Any], ...] = ()
        self.last_words: ConnectionFailure | None = None
        self._made = 0
        self._owner = owner
        self._several = False  # this side has begun a join, or a join of the peer has succeeded

    def next_number(self) -> int:
        """Return the number of an additional subflow; 0 is the first one's."""
        number = self._made
        self._made += 1
        return number

    @property
    def alone(self) -> bool:
        """Whether the first subflow is the only one that ever was.

        A join of the peer counts once its HMAC was verified.
        """
        if not self._several and len(self.there) > 1:
            self._several = any(one.number and one.confirmed for one in self.there)
        return not self._several

    @property
    def ended(self) -> Sequence[dict[str, Any]]:
        """Descriptions of the last subflows that have ended (:func:`describe_subflow`)."""
        return self._ended

    def add(self, subflow: Subflow) -> None:
        """Add a subflow."""
        self.there.append(subflow)
        self._made = max(self._made, subflow.number + 1)
        self._several |= subflow.initiated and subflow.number > 0

    def remove(self, subflow: Subflow) -> None:
        """Remove a subflow that has ended, and release its port if this side joined by it."""
        self.there.remove(subflow)
        self.last_words = subflow.tcp.failure
        self._several |= subflow.number > 0 and subflow.confirmed
        if joined(subflow):
            self._ended = (*self._ended, describe_subflow(subflow))[-_REMEMBERED:]
        if subflow.initiated and subflow.number:
            self._owner.release(subflow.tcp.flow.local)

    def discard(self, subflow: Subflow) -> None:
        """Remove a subflow that could not be opened."""
        self.there.remove(subflow)

    def take_all(self) -> list[Subflow]:
        """Remove and return all subflows."""
        left = self.there[:]
        self.there.clear()
        return left

    def request_acks(self, *, last: bool) -> None:
        """Request an ACK on each working subflow.

        :param last: whether it follows all other segments that are sent now.
        """
        for subflow in self.there:
            if subflow.confirmed and subflow.phase.sends and not subflow.fallback:
                subflow.tcp.request_ack(last=last)


def check(subflow: Subflow) -> None:
    """Raise the exception that has ended a subflow's TCP, so that it ends the connection."""
    failure = subflow.tcp.failure
    if failure is not None and failure.cause is not None:
        raise failure.cause
