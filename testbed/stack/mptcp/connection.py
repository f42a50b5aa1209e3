"""A connection: one byte stream each way over all its subflows (RFC 8684)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from testbed.packet.address import Address, Flow
from testbed.stack.connection import ConnectionFailure, ErrorKind, Event
from testbed.stack.mptcp import drain, timers
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.handshake import Handshake
from testbed.stack.mptcp.info import describe
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.local_network import LocalNetwork
from testbed.stack.mptcp.parts import Parts
from testbed.stack.mptcp.path_manager.base import OpenSubflow, PathManager, SubflowPath
from testbed.stack.mptcp.state import DataState
from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.options import NO_OPTIONS, SocketOptions
from testbed.stack.tcp.congestion.control import Group
from testbed.stack.tcp.right_sizing import WindowMemory


class Host(Protocol):
    """The services of the endpoint that a connection needs."""

    @property
    def memory(self) -> WindowMemory:
        """What windows grow by."""

    def touch(self, connection: MptcpConnection) -> None:
        """Ask for a step."""

    def trace(self, name: str, now: int, connection: MptcpConnection, **fields: Any) -> None:
        """Tell of an event."""

    def count(self, name: str) -> None:
        """Count an event; its name is one of MPTcpExt."""

    def join(self, connection: MptcpConnection, command: OpenSubflow, now: int) -> None:
        """Send MP_JOIN; nothing happens where that cannot be done."""

    def opened(self, connection: MptcpConnection, subflow: Subflow, now: int) -> None:
        """Learn from how the first subflow was opened."""

    def release(self, local: Address) -> None:
        """Give back the port of a subflow that joined and has ended."""


class MptcpConnection:
    """See :class:`testbed.stack.connection.Connection`.

    Nothing happens in the methods the application calls: they record, and :meth:`step` acts.

    :param flow: the two ends of the first subflow.
    :param manager: decides on its paths.
    :param initiator: this side opened the connection.
    :param options: of the socket; ``config`` goes by them already.
    """

    __slots__ = ("_host", "_options", "_parts", "_stillborn", "config", "controls", "flow",
                 "incoming", "initiator", "keys", "outgoing", "paths", "sender")  # fmt: skip

    def __init__(
        self,
        host: Host,
        config: MptcpConfig,
        keys: Keys,
        flow: Flow,
        manager: PathManager,
        network: LocalNetwork,
        options: SocketOptions = NO_OPTIONS,
        *,
        initiator: bool,
    ) -> None:
        self.initiator = initiator
        self._host = host
        parts = Parts(self, config, keys, flow, manager, network, host.memory, host.release)
        self._parts = parts
        self.keys = keys
        self._options = options
        self.flow = flow
        self.config = config
        self.controls = Group()  # the subflows' congestion controls
        self.outgoing = parts.outgoing
        self.incoming = parts.incoming
        self.paths = parts.paths
        self.sender = parts.sender
        self._stillborn = False  # its first subflow cannot be opened

    # What the application and its driver call.

    @property
    def subflows(self) -> Sequence[Subflow]:
        """The subflows there are, those being opened too."""
        return self._parts.subflows.there

    def aborts(self, subflow: Subflow) -> bool:
        """Tell whether the RST of a subflow carries MP_FASTCLOSE."""
        return self._parts.ending.aborts(subflow)

    @property
    def fallback(self) -> bool:
        """Whether it goes on as plain TCP (section 3.7)."""
        return self._parts.plain.begun

    @property
    def fin_due(self) -> bool:
        """Whether DATA_FIN goes on each ACK without data."""
        return self._parts.fin.due and not self.fallback

    @property
    def closed(self) -> bool:
        """Whether nothing more happens at the data level."""
        return self._parts.life.over

    @property
    def state(self) -> DataState:
        """Its state."""
        return self._parts.life.state

    @property
    def failure(self) -> ConnectionFailure | None:
        """Why it ended too early, if it did."""
        return self._parts.life.failure

    def send(self, data: bytes | memoryview, *, eor: bool = False) -> int:
        """Take octets to send and return how many there was room for.

        :param data: as ``eor``, see :meth:`testbed.stack.connection.Connection.send`.
        :raises BrokenPipeError: the sending side is closed.
        """
        if self.outgoing.closed or self.closed:
            raise BrokenPipeError("the sending side is closed")
        config = self.config.tcp
        offered = data[: self._parts.events.room] if config.notsent_lowat else data
        eor = (eor or config.eor) and len(offered) == len(data)
        taken = self.outgoing.write(offered, eor=eor)
        self._parts.events.wrote(taken, len(data))
        if taken:
            self.touch()
        return taken

    def read(self, limit: int) -> bytes:
        """Return at most ``limit`` octets that have arrived."""
        data = self.incoming.read(limit)
        self._parts.events.read(len(data))
        if self._parts.window.worth_telling:
            self.touch()
        return data

    @property
    def at_eof(self) -> bool:
        """Whether the peer's DATA_FIN has come and all before it was read."""
        return self.incoming.finished and not self.incoming.readable

    @property
    def unsent(self) -> int:
        """Octets without Data ACK."""
        return self.outgoing.end - self.outgoing.una

    @property
    def delivered(self) -> bool:
        """Whether there is a Data ACK for everything, DATA_FIN included."""
        return self.outgoing.fin_acked

    def shutdown(self) -> None:
        """Send DATA_FIN after all data (section 3.3.3)."""
        self._parts.ending.shutdown()

    def set_options(self, options: SocketOptions) -> None:
        """Change options of this connection and of its subflows, also of those to come.

        :raises ValueError: one cannot have its value, is none of MPTCP or cannot be changed any
            more.
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
        """The configuration of the TCP of each subflow."""
        return NO_OPTIONS if self._options is NO_OPTIONS else self._options.of_subflows()

    def close(self) -> None:
        """Close both sides; data that is or comes unread is answered by MP_FASTCLOSE.

        Before the peer has answered it is over at once, as TCP is (RFC 9293, section 3.10.4).
        """
        self._parts.ending.close()

    def abort(self) -> None:
        """End it at once, by MP_FASTCLOSE (section 3.5): on RST on every subflow, or on an ACK."""
        self._parts.ending.abort()

    def info(self) -> dict[str, Any]:
        """Return what MPTCP_INFO tells, and both tokens."""
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

    def next_event(self) -> Event | None:
        """Return one thing that happened, or ``None``."""
        return self._parts.events.next()

    # What the endpoint calls.

    def touch(self) -> None:
        """Ask for a step."""
        self._host.touch(self)

    def trace(self, name: str, now: int, **fields: Any) -> None:
        """Tell of an event of this connection."""
        self._host.trace(name, now, self, **fields)

    def count(self, name: str) -> None:
        """Count an event; its name is one of MPTcpExt."""
        self._host.count(name)

    def opened(self, subflow: Subflow, now: int) -> None:
        """Let the endpoint learn from how the first subflow was opened."""
        self._host.opened(self, subflow, now)

    def totals(self) -> dict[str, int]:
        """Return what this connection adds to the MIB counters of its host."""
        established = self.state not in (DataState.OPENING, DataState.CLOSED)
        return {
            "MPTcpExtMPCurrEstab": int(established and not self.fallback),
            "MPTcpExtMPTCPRetrans": self.sender.retransmissions,
        }

    def join(self, command: OpenSubflow, now: int) -> None:
        """Open a further subflow."""
        self._host.join(self, command, now)

    def new_subflow(
        self, handshake: Handshake, path: SubflowPath, *, backup: bool, initiated: bool
    ) -> Subflow:
        """Make a subflow: the first one, or one that joins."""
        number = self._parts.subflows.next_number()
        subflow = Subflow(
            self, handshake, number=number, path=path, backup=backup, initiated=initiated
        )
        if not subflow.outside:
            self._parts.subflows.add(subflow)
        return subflow

    def enter(self, subflow: Subflow) -> None:
        """Take in a subflow that the peer has opened: the peer has answered.

        Until then TCP alone keeps it.  Any host can send a SYN, so it must not cost a step.
        """
        if subflow.number and self._options is not NO_OPTIONS:  # they may have changed meanwhile
            subflow.tcp.set_options(self.subflow_options.begun())
        self._parts.subflows.add(subflow)
        self.touch()

    def open_early(self, subflow: Subflow) -> None:
        """Be open before the handshake is over: the SYN's data is the application's (appendix B).

        What it answers waits for the peer's key, unless ``early_answer`` is chosen.
        """
        subflow.enter()
        self._parts.beginning.open_early(subflow, answer=self.config.early_answer)
        self.touch()

    def discard(self, subflow: Subflow) -> None:
        """Drop a subflow that cannot be opened; a connection without its first one ends."""
        if not subflow.outside:
            self._parts.subflows.discard(subflow)
        if subflow.initiated or not subflow.number:
            self._stillborn |= not subflow.number
            self.touch()

    def step(self, now: int) -> None:
        """Act on all that was recorded since the last step."""
        parts = self._parts
        drain.take_records(parts)
        if self._stillborn:
            parts.life.fail(ConnectionFailure(ErrorKind.RESET))
        if not parts.life.over:
            self._advance(now)
        if parts.life.over:
            parts.ending.step(now, created=parts.beginning.met)

    def crash(self, error: Exception) -> Sequence[Subflow]:
        """Be closed by a fault of ours: an exception has happened in it.

        Nothing of it is relied on any more, the table of states included.  Return the subflows that
        there were, which the endpoint ends.
        """
        self._parts.ending.crash(error)
        return self._parts.subflows.take_all()

    def next_timer(self) -> int | None:
        """Return when :meth:`handle_timer` has something to do."""
        return timers.next_timer(self._parts)

    def handle_timer(self, now: int) -> None:
        """Do what is due; a step follows."""
        timers.handle_timer(self._parts, now)

    def _advance(self, now: int) -> None:
        """Make the step of a connection that is not over."""
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
        else:
            parts.fin.step(now)
        if life.state is not DataState.OPENING:
            parts.window.step(now, waits=self.keys.remote is None and not plain.begun)
        timers.watch(parts, now)
        parts.events.report()
