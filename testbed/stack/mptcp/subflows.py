"""The subflows of a connection: those there are, and what is remembered of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from testbed.packet.address import Address
from testbed.stack.connection import ConnectionFailure
from testbed.stack.mptcp.info import describe_subflow, joined
from testbed.stack.mptcp.subflow import Subflow

_REMEMBERED: Final = 16


class Subflows:
    """Of one connection, which alone adds and removes subflows.

    :param release: gives back the port of one that joined and has ended.
    :ivar there: those of the connection, the half-open ones of the peer excepted; the parts of the
        connection are given this list, so it stays the same object.
    :ivar last_words: why the last one that has ended did so, unless in order.
    """

    __slots__ = ("_ended", "_made", "_release", "_several", "last_words", "there")

    def __init__(self, release: Callable[[Address], None]) -> None:
        self.there: list[Subflow] = []
        self._ended: list[dict[str, Any]] = []
        self.last_words: ConnectionFailure | None = None
        self._made = 0
        self._release = release
        self._several = False  # this side has begun another one, or one of the peer was joined

    def next_number(self) -> int:
        """Return the number of a further subflow; 0 is the first one's."""
        self._made += 1
        return self._made - 1

    @property
    def alone(self) -> bool:
        """Whether the first subflow is the only one there ever was.

        A join of the peer counts once its HMAC has proved that it is the peer's.
        """
        if not self._several and len(self.there) > 1:
            self._several = any(one.number and one.confirmed for one in self.there)
        return not self._several

    @property
    def ended(self) -> Sequence[dict[str, Any]]:
        """The last ones that are no more, as they were (:func:`describe_subflow`)."""
        return self._ended

    def add(self, subflow: Subflow) -> None:
        """Take a subflow in."""
        self.there.append(subflow)
        self._several |= subflow.initiated and subflow.number > 0

    def remove(self, subflow: Subflow) -> None:
        """Let a subflow go that has ended, and its port if this side has joined by it."""
        self.there.remove(subflow)
        self.last_words = subflow.tcp.failure
        self._several |= subflow.number > 0 and subflow.confirmed
        if joined(subflow):
            self._ended.append(describe_subflow(subflow))
            del self._ended[:-_REMEMBERED]
        if subflow.initiated and subflow.number:
            self._release(subflow.tcp.flow.local)

    def discard(self, subflow: Subflow) -> None:
        """Let a subflow go that could not be opened."""
        self.there.remove(subflow)

    def take_all(self) -> list[Subflow]:
        """Let all of them go, and return them."""
        left = self.there[:]
        self.there.clear()
        return left

    def request_acks(self, *, last: bool) -> None:
        """Have an ACK leave on each one that works.

        :param last: after all other segments that leave now.
        """
        for subflow in self.there:
            if subflow.confirmed and subflow.phase.sends and not subflow.fallback:
                subflow.tcp.request_ack(last=last)


def check(subflow: Subflow) -> None:
    """Raise the exception that has ended a subflow's TCP: it is one of the connection."""
    failure = subflow.tcp.failure
    if failure is not None and failure.cause is not None:
        raise failure.cause
