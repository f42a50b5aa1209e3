"""The start of a connection with its first subflow (RFC 8684, section 3.1)."""

from __future__ import annotations

from typing import Any, Final, Protocol

from testbed.stack.mptcp.events import Events
from testbed.stack.mptcp.lifecycle import Lifecycle
from testbed.stack.mptcp.paths import ConnectionPaths
from testbed.stack.mptcp.state import DataState, Step
from testbed.stack.mptcp.streams import ReceiveStream, SendStream
from testbed.stack.mptcp.subflow import Subflow

# The counters of the first subflow.  Key: whether this side opened it, whether it is plain TCP.
_MET: Final = {
    (True, False): "MPCapableSYNACKRX",
    (True, True): "MPCapableFallbackSYNACK",
    (False, False): "MPCapableACKRX",
    (False, True): "MPCapableFallbackACK",
}


class Owner(Protocol):
    """The services of the connection that its start needs."""

    @property
    def initiator(self) -> bool:
        """Whether this side opened the connection."""

    def trace(self, name: str, now: int, **fields: Any) -> None:
        """Trace an event."""

    def count(self, name: str) -> None:
        """Increment the MPTcpExt counter that has this name."""

    def opened(self, subflow: Subflow, now: int) -> None:
        """Record how the first subflow was opened."""


class Beginning:
    """The start of one connection.

    :ivar met: whether the handshake of the first subflow is complete.
    """

    __slots__ = ("_events", "_incoming", "_life", "_outgoing", "_owner", "_paths", "met")

    def __init__(
        self,
        owner: Owner,
        outgoing: SendStream,
        incoming: ReceiveStream,
        paths: ConnectionPaths,
        life: Lifecycle,
        events: Events,
    ) -> None:
        self.met = False
        self._owner = owner
        self._outgoing = outgoing
        self._incoming = incoming
        self._paths = paths
        self._life = life
        self._events = events

    def open_early(self, first: Subflow, *, answer: bool) -> None:
        """Deliver the data of the SYN before the handshake is complete (appendix B).

        :param answer: whether the application's answer may leave before the peer's key arrives.
        """
        self._incoming.begin(first.early.take(first.tcp, answer=answer))
        self._let_flow(first)

    def establish_once(self, subflow: Subflow, now: int) -> None:
        """Allow data once the handshake of the first subflow is complete."""
        if self.met or not (subflow.accepted and subflow.begun):
            return
        self.met = True
        if self._life.state is DataState.OPENING:
            self._outgoing.skip(subflow.early.sent)
            self._let_flow(subflow)
        owner = self._owner
        owner.opened(subflow, now)
        owner.count(_MET[owner.initiator, subflow.fallback])
        owner.trace("created", now, **self._paths.described())

    def _let_flow(self, first: Subflow) -> None:
        self._life.take(Step.ESTABLISH)
        # Until the first Data ACK, the window is that of the handshake (section 3.1).
        self._outgoing.open_window(first.tcp.send_window)
        self._events.connected()
