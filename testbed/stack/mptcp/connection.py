"""A connection: one byte stream in each direction over all subflows (RFC 8684)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from testbed.stack.connection import ConnectionFailure
from testbed.stack.mptcp import drain, timers
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.half_open import HalfOpen
from testbed.stack.mptcp.handshake import Handshake
from testbed.stack.mptcp.info import describe
from testbed.stack.mptcp.local_network import LocalNetwork
from testbed.stack.mptcp.parts import Parts
from testbed.stack.mptcp.path_manager.base import PathManager, SubflowPath
from testbed.stack.mptcp.services import Host, Services
from testbed.stack.mptcp.state import DataState
from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.options import NO_OPTIONS, SocketOptions


class MptcpConnection:
    """See :class:`testbed.stack.connection.Connection`.

    The methods that the application calls only record. :meth:`step` acts on the records.

    :param half_open: what it was before its handshake.
    :param config: that of ``half_open``, with the present endpoints.
    :param manager: the path manager of this connection.
    :param initiator: whether this side opened the connection.
    :ivar events: the events for the application.
    :ivar count: increments the MPTcpExt counter that has a name.
    """

    __slots__ = ("_host", "_options", "_parts", "_services", "config", "controls", "count",
                 "events", "flow", "incoming", "initiator", "keys", "outgoing", "paths",
                 "sender")  # fmt: skip

    def __init__(
        self,
        host: Host,
        half_open: HalfOpen,
        config: MptcpConfig,
        manager: PathManager,
        network: LocalNetwork,
        *,
        initiator: bool,
    ) -> None:
        self.initiator = initiator
        self._host = host
        self._services = services = Services(host, self, initiator=initiator)
        self.count: Callable[[str], None] = services.count
        parts = Parts(services, half_open, config, manager, network, host.memory)
        self._parts = parts
        self.keys = half_open.keys
        self._options = half_open.options
        self.flow = half_open.flow
        self.config = config
        self.controls = half_open.controls
        self.outgoing = half_open.outgoing
        self.incoming = half_open.incoming
        self.events = parts.events
        self.paths = parts.paths
        self.sender = parts.sender

    # Methods for the application and its driver.

    @property
    def subflows(self) -> Sequence[Subflow]:
        """All subflows, including those that are being opened."""
        return self._parts.subflows.there

    def aborts(self, subflow: Subflow) -> bool:
        """Return whether the RST of a subflow carries MP_FASTCLOSE."""
        return self._parts.ending.aborts(subflow)

    @property
    def fallback(self) -> bool:
        """Whether the connection has fallen back to plain TCP (section 3.7)."""
        return self._parts.plain.begun

    @property
    def fin_due(self) -> bool:
        """Whether each ACK without data carries DATA_FIN."""
        return self._parts.fin.due and not self.fallback

    @property
    def closed(self) -> bool:
        """Whether the data level has ended."""
        return self._parts.life.over

    @property
    def state(self) -> DataState:
        """The state at the data level."""
        return self._parts.life.state

    @property
    def failure(self) -> ConnectionFailure | None:
        """Why the connection failed, or ``None``."""
        return self._parts.life.failure

    def send(self, data: bytes | memoryview, *, eor: bool = False) -> int:
        """Queue octets to send, and return how many the buffer took.

        :param data: see :meth:`testbed.stack.connection.Connection.send`, as for ``eor``.
        :raises BrokenPipeError: the sending side is closed.
        """
        if self.outgoing.closed or self.closed:
            raise BrokenPipeError("the sending side is closed")
        config = self.config.tcp
        offered = data[: self.events.room] if config.notsent_lowat else data
        eor = (eor or config.eor) and len(offered) == len(data)
        taken = self.outgoing.write(offered, eor=eor)
        self.events.wrote(taken, len(data))
        if taken:
            self.touch()
        return taken

    def read(self, limit: int) -> bytes:
        """Return at most ``limit`` octets that have arrived in order."""
        data = self.incoming.read(limit)
        self.events.read(len(data))
        if self._parts.window.worth_telling:
            self.touch()
        return data

    @property
    def at_eof(self) -> bool:
        """Whether the peer's DATA_FIN has arrived and all data before it was read."""
        return self.incoming.finished and not self.incoming.readable

    @property
    def unsent(self) -> int:
        """The number of octets without a Data ACK."""
        return self.outgoing.end - self.outgoing.una

    @property
    def delivered(self) -> bool:
        """Whether all data and DATA_FIN have a Data ACK."""
        return self.outgoing.fin_acked

    def shutdown(self) -> None:
        """Send DATA_FIN after all data (section 3.3.3)."""
        self._parts.ending.shutdown()

    def set_options(self, options: SocketOptions) -> None:
        """Change options of this connection and of its present and future subflows.

        :raises ValueError: an option has a value that is not allowed, MPTCP does not have it, or it
            can no longer be changed.
        """
        options.require_later()
        parts = self._parts
        self.config = config = self.config.with_options(options)
        self._options = self._options.changed_by(options)
        self.outgoing.resize(config.send_buffer)
        if options.receive_buffer is not None:
            self.incoming.grow(options.receive_buffer)
        parts.patience.go_by(config.tcp)
        parts.events.go_by(config)
        parts.window.go_by(config)
        parts.ending.go_by(config)
        self.sender.cork(corked=config.tcp.cork)
        if options.nodelay:
            self.sender.push()
        for subflow in parts.subflows.there:
            subflow.tcp.set_options(options.of_subflows())
        self.touch()

    @property
    def subflow_options(self) -> SocketOptions:
        """The socket options of each subflow's TCP."""
        return NO_OPTIONS if self._options is NO_OPTIONS else self._options.of_subflows()

    def close(self) -> None:
        """Close both directions. Data that stays unread is answered by MP_FASTCLOSE.

        Before the peer has answered, the connection ends at once, as in TCP (RFC 9293, section
        3.10.4).
        """
        self._parts.ending.close()

    def abort(self) -> None:
        """Abort by MP_FASTCLOSE (section 3.5), on the RST of each subflow or on an ACK."""
        self._parts.ending.abort()

    def info(self) -> dict[str, Any]:
        """Return the fields of MPTCP_INFO and both tokens."""
        return describe(
            self.keys,
            self.outgoing,
            self.incoming,
            self._parts.subflows.there,
            paths=self.paths.counts(),
            fallback=self.fallback,
            retransmits=self.sender.tries,
            reinjected=self.sender.reinjected,
            ended=self._parts.subflows.ended,
        )

    # Methods for the endpoint.

    def touch(self) -> None:
        """Request a step of the connection."""
        self._host.touch(self)

    def totals(self) -> dict[str, int]:
        """Return the share of this connection in the MIB counters of its host."""
        established = self.state not in (DataState.OPENING, DataState.CLOSED)
        return {
            "MPTcpExtMPCurrEstab": int(established and not self.fallback),
            "MPTcpExtMPTCPRetrans": self.sender.retransmissions,
        }

    def new_subflow(
        self, handshake: Handshake, path: SubflowPath, *, backup: bool, initiated: bool
    ) -> Subflow:
        """Create a subflow: the first one, or one that joins."""
        number = self._parts.subflows.next_number()
        subflow = Subflow(
            self, handshake, number=number, path=path, backup=backup, initiated=initiated
        )
        if not subflow.outside:
            self._parts.subflows.add(subflow)
        return subflow

    def enter(self, subflow: Subflow) -> None:
        """Add a subflow that the peer has opened, after its handshake is complete.

        Before that only TCP knows it. Any host can send a SYN, so a SYN must not cost a step.
        """
        # The options may have changed meanwhile.
        if subflow.number and self._options is not NO_OPTIONS:
            subflow.tcp.set_options(self.subflow_options.begun())
        self._parts.subflows.add(subflow)
        self.touch()

    def open_early(self, subflow: Subflow) -> None:
        """Deliver the data of the SYN before the handshake is complete (appendix B).

        The application's answer waits for the peer's key, unless ``early_answer`` is set.
        """
        subflow.enter()
        self._parts.beginning.open_early(subflow, answer=self.config.early_answer)
        self.touch()

    def discard(self, subflow: Subflow) -> None:
        """Drop a join that cannot be opened. One of the peer was not added yet."""
        if not subflow.outside:
            self._parts.subflows.discard(subflow)
            self.touch()

    def step(self, now: int) -> None:
        """Act on everything that was recorded since the last step."""
        parts = self._parts
        drain.take_records(parts)
        if not parts.life.over:
            self._advance(now)
        if parts.life.over:
            parts.ending.step(now, created=parts.beginning.met)

    def crash(self, error: Exception) -> Sequence[Subflow]:
        """Close the connection after an exception in it.

        Its state may be inconsistent, so nothing of it is used, not even the table of states.
        Return its subflows, which the endpoint ends.
        """
        self._parts.ending.crash(error)
        return self._parts.subflows.take_all()

    def drop(self) -> None:
        """Prepare for being freed: the endpoint knows this connection no longer."""
        self._services.cut()

    def next_timer(self) -> int | None:
        """Return the time at which :meth:`handle_timer` is due."""
        return timers.next_timer(self._parts)

    def handle_timer(self, now: int) -> None:
        """Handle the expired timers. A step follows."""
        timers.handle_timer(self._parts, now)

    def _advance(self, now: int) -> None:
        """Perform the step of a connection that has not ended."""
        parts = self._parts
        life, plain = parts.life, parts.plain
        drain.absorb(parts, now)
        if life.failure is not None:
            return
        if plain.begun:
            plain.follow_tcp()
        parts.ending.close_in_order()
        self.paths.step(now)
        self.sender.give(now)
        if plain.begun:
            plain.finish()
        elif self.outgoing.closed:
            parts.fin.step(now)
        if life.state is not DataState.OPENING:
            parts.window.step(now, waits=self.keys.remote is None and not plain.begun)
        timers.watch(parts, now)
        parts.events.report()
