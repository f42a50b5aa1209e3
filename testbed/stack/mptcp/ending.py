"""The end of a connection: orderly, aborted or timed out; and the end of its subflows.

RFC 8684, sections 3.3.3 and 3.5.
"""

from __future__ import annotations

from typing import Any, Protocol

from testbed.packet.mptcp import ResetReason
from testbed.stack.connection import ConnectionFailure, ErrorKind
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.events import Events
from testbed.stack.mptcp.fastclose import FastClose
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.lifecycle import Lifecycle
from testbed.stack.mptcp.paths import ConnectionPaths
from testbed.stack.mptcp.state import DataState, Step
from testbed.stack.mptcp.streams import ReceiveStream, SendStream
from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.mptcp.subflows import Subflows, check


class Owner(Protocol):
    """The services of the connection that its end needs."""

    @property
    def initiator(self) -> bool:
        """Whether this side opened the connection."""

    def trace(self, name: str, now: int, **fields: Any) -> None:
        """Trace an event."""

    def count(self, name: str) -> None:
        """Increment the MPTcpExt counter that has this name."""

    def touch(self) -> None:
        """Request a step of the connection."""


class Ending:
    """The end of one connection.

    Subflows end with FIN after DATA_FIN is acknowledged. They end with RST or MP_FASTCLOSE when the
    connection is aborted.

    :ivar detached: whether the application has closed the connection.
    """

    __slots__ = (
        "_aborting",
        "_config",
        "_events",
        "_fast_close",
        "_incoming",
        "_keys",
        "_life",
        "_outgoing",
        "_owner",
        "_paths",
        "_subflows",
        "_told",
        "detached",
    )

    def __init__(
        self,
        owner: Owner,
        config: MptcpConfig,
        keys: Keys,
        outgoing: SendStream,
        incoming: ReceiveStream,
        subflows: Subflows,
        paths: ConnectionPaths,
        life: Lifecycle,
        events: Events,
    ) -> None:
        self.detached = False
        self._aborting = False  # each RST carries MP_FASTCLOSE
        self._owner = owner
        self._config = config
        self._outgoing = outgoing
        self._incoming = incoming
        self._subflows = subflows
        self._paths = paths
        self._life = life
        self._events = events
        self._keys = keys
        self._fast_close: FastClose | None = None  # most connections end in order
        self._told = False

    def go_by(self, config: MptcpConfig) -> None:
        """Apply another configuration."""
        self._config = config

    # Requests of the application.

    def shutdown(self) -> None:
        """Send DATA_FIN after all data (section 3.3.3)."""
        if not self._outgoing.closed and not self._life.over:
            self._outgoing.close()
            self._owner.touch()

    def close(self) -> None:
        """Close both directions for the application.

        Before the peer has answered, the connection ends at once, as in TCP (RFC 9293, section
        3.10.4). One that does not linger goes on where both sides are closed and everything was
        sent.
        """
        shut = self._incoming.finished and self._outgoing.closed and not self._outgoing.unsent
        if self._config.tcp.linger and not self._config.tcp.linger_ns and not shut:
            self.abort()
        self.shutdown()
        self.detached = True
        unanswered = self._owner.initiator and not any(one.accepted for one in self._subflows.there)
        if unanswered and self._life.state is DataState.OPENING:
            self._life.take(Step.ABORT)
        self._owner.touch()

    def abort(self) -> None:
        """Abort by MP_FASTCLOSE (section 3.5), on the RST of each subflow or on an ACK."""
        if self._life.over:
            return
        open_ = self._life.state is not DataState.OPENING
        by_ack = self._config.fastclose_by_ack and open_ and self._begin_fast_close()
        self._aborting = not by_ack
        step = Step.FASTCLOSE if by_ack else Step.ABORT
        self._life.fail(ConnectionFailure(ErrorKind.ABORTED), step)

    def _begin_fast_close(self) -> bool:
        """Begin to send MP_FASTCLOSE on ACKs; return whether that is possible."""
        self._fast_close = FastClose(self._keys, self._subflows.there, self._owner.count)
        return self._fast_close.begin()

    def time_out(self, detail: str) -> None:
        """Abort after a time-out, and inform the peer, which may still exist (section 3.5)."""
        self._aborting = True
        self._life.fail(ConnectionFailure(ErrorKind.TIMED_OUT, detail))

    def crash(self, error: Exception) -> None:
        """Close after an exception in this stack."""
        self._aborting = True
        self._life.crash(error)

    # Progress of the end.

    def aborts(self, subflow: Subflow) -> bool:
        """Return whether the RST of a subflow carries MP_FASTCLOSE.

        So does the RST of a subflow that ends before the answer to MP_FASTCLOSE arrives.
        """
        if self._aborting or self._fast_close is None:
            return self._aborting
        return self._fast_close.unanswered(subflow)

    @property
    def retry_ns(self) -> int | None:
        """The time at which :meth:`handle_timer` is due."""
        return None if self._fast_close is None else self._fast_close.retry_ns

    def handle_timer(self, now: int) -> None:
        """Retransmit MP_FASTCLOSE, or reset the subflow after the last attempt."""
        if self._fast_close is not None:
            self._aborting |= self._fast_close.gives_up(now)

    def close_in_order(self) -> None:
        """Move through the states of an orderly close (appendix D)."""
        if self._outgoing.closed or self._incoming.fin is not None:
            self._take_steps()
        if self.detached and self._incoming.readable:
            self.abort()

    def _take_steps(self) -> None:
        """Take the steps of the orderly close that are due."""
        life = self._life
        while (step := life.due(self._outgoing, self._incoming)) is not None:
            life.take(step)
            if step is Step.FIN_RECEIVED:
                last = life.over and self._config.data_acks.behind_fin
                self._subflows.request_acks(last=last)
            elif step is Step.FIN_ACKED and self.detached and self._config.tcp.linger:
                self._events.delivered()

    def step(self, now: int, *, created: bool) -> None:
        """Close each subflow of an ended connection, and remove the closed ones.

        :param created: whether the event ``created`` was traced. Then ``closed`` is traced as well.
        """
        if not self._told:
            self._told = True
            if created:
                self._owner.trace("closed", now)
        if self._fast_close is not None:
            self._fast_close.step(now)
        for subflow in self._subflows.there[:]:
            check(subflow)
            self.end(subflow)
            if subflow.tcp.closed:
                self._subflows.remove(subflow)
                self._paths.forget(subflow, now)
        if self._life.state is DataState.FASTCLOSE_WAIT and not self._subflows.there:
            self._life.take(Step.FASTCLOSED)

    def end(self, subflow: Subflow) -> None:
        """End a subflow, unless it waits for the answer to MP_FASTCLOSE."""
        if self._fast_close is not None and self._fast_close.keeps(subflow):
            return
        if subflow.refused is not None:
            subflow.reset(ResetReason.MPTCP)
        elif self._life.failure is not None:
            if not subflow.tcp.closed:  # a RST that is already due may carry a better reason
                if self.aborts(subflow) and subflow.accepted:
                    self._owner.count("MPFastcloseTx")
                subflow.reset(ResetReason.UNSPECIFIED)
        elif subflow.fallback:
            subflow.tcp.close()
        else:
            subflow.tcp.finish()
            subflow.tcp.read(subflow.tcp.readable)  # no data follows the end of both streams
