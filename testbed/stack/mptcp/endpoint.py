"""The MPTCP of a host: its connections, and the TCP endpoint that owns their subflows.

Segments go to TCP first. The hooks of the subflows record their options. Then each connection with
new records makes a step. The segments that result leave with the next ``segments_to_send``.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from testbed.packet.address import Address, Flow
from testbed.packet.icmp import IcmpError
from testbed.packet.segment import SYN, Segment
from testbed.stack.connection import Connected, Connection, ErrorReport, Event, Randomness
from testbed.stack.counters import Counters
from testbed.stack.deadlines import NEVER, Deadlines
from testbed.stack.mptcp.black_holes import BlackHoles
from testbed.stack.mptcp.capable import CapableInitiator
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.connection import MptcpConnection
from testbed.stack.mptcp.half_open import HalfOpen
from testbed.stack.mptcp.joins import Joins
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.local_network import LocalNetwork
from testbed.stack.mptcp.open_port import OpenPort, syn_alone
from testbed.stack.mptcp.path_control import PathControl
from testbed.stack.mptcp.path_manager import PATH_MANAGERS
from testbed.stack.mptcp.path_manager.base import OpenSubflow
from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.mptcp.tokens import Tokens
from testbed.stack.options import NO_OPTIONS, SocketOptions
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.endpoint import TcpEndpoint
from testbed.stack.tcp.listener import DEFAULT_BACKLOG, TcpListener
from testbed.stack.tcp.right_sizing import WindowMemory
from testbed.trace import NullTracer, Tracer


class MptcpEndpoint:
    """See :class:`testbed.stack.connection.Endpoint`.

    :param rng: the source of keys, nonces and ports.
    :param secret: for initial sequence numbers (RFC 6528), and for keys of SYNs that leave no
        state.
    :param network: the addresses of the host, for the path managers.
    :ivar config: the configuration of connections. Their endpoints are those of ``paths``.
    :ivar paths: the interface by which programs change endpoints and subflows.
    """

    def __init__(
        self,
        config: MptcpConfig,
        rng: Randomness,
        secret: bytes,
        network: LocalNetwork,
        *,
        tracer: Tracer | None = None,
    ) -> None:
        self.config = config
        self._tokens = Tokens(
            rng, secret, checksum=config.checksum, wide_acks=config.data_acks.wide
        )
        self._joins = Joins(self, self._tokens, rng, network)
        self.paths = PathControl(self, self._tokens, config.endpoints)
        self.tcp = TcpEndpoint(
            config.plain_tcp, secret, stray=self._joins, ridden=config.subflow_tcp, tracer=tracer
        )
        self._network = network
        self._tracer = tracer or NullTracer()
        self._black_holes = BlackHoles(config.blackhole_timeout_ns)
        self._counted = Counters()
        self._touched: dict[MptcpConnection, None] = {}
        # Subflows that were accepted and are not yet attached to their TCP.
        self._new: list[tuple[Subflow, Flow]] = []
        # Connections in an accept queue of TCP that were not reported to a program yet.
        self._queued: set[Flow] = set()
        self._events: deque[tuple[Connection, Event]] = deque()
        self._timers: Deadlines[MptcpConnection] = Deadlines()
        # Exceptions that belong to no connection, or to one that cannot be ended.
        self._faults: list[tuple[MptcpConnection | None, Exception]] = []

    # Methods for a driver.

    def connect(
        self,
        flow: Flow,
        now: int,
        *,
        data: bytes = b"",
        ask_cookie: bool = False,
        options: SocketOptions = NO_OPTIONS,
    ) -> MptcpConnection:
        """Open a connection (section 3.1).

        :param data: see :class:`testbed.stack.connection.Endpoint`.
        :param ask_cookie: see :class:`testbed.stack.tcp.endpoint.TcpEndpoint`.
        :raises ValueError: an option has a value that is not allowed, or MPTCP does not have the
            option.
        :raises OSError: EADDRINUSE if the connection exists already.
        """
        config, keys = self.config, self._tokens.new_keys()
        swallowed = self.avoids_mptcp(flow.remote.host, now)
        tries = 0 if swallowed else config.syn_retrans_before_tcp_fallback + 1
        handshake = CapableInitiator(keys, deny_join=config.deny_join_initial, tries=tries)
        half_open = self.begin(keys, flow, options)
        connection = self._connection(half_open, initiator=True)
        path = connection.paths.initial
        subflow = connection.new_subflow(handshake, path, backup=False, initiated=True)
        ask_cookie |= bool(data)
        subflow.attach(self.tcp.connect(flow, now, subflow, ask_cookie=ask_cookie, options=options))
        self._tokens.add(connection)
        if data:
            subflow.early.send(subflow.tcp, data[: connection.send(data)])
        self.count("MPCapableSYNTX" if tries else "MPCapableSYNTXDisabled")
        return connection

    @property
    def counters(self) -> dict[str, int]:
        """The MIB counters that are not 0, with the names of nstat(8)."""
        living = (one.totals() for one in self._tokens)
        return {**self.tcp.counters, **self._counted.with_living(living)}

    @property
    def connections(self) -> int:
        """The number of MPTCP connections, including those in the handshake."""
        return len(self._tokens)

    def listen(
        self,
        local: Address,
        backlog: int = DEFAULT_BACKLOG,
        *,
        options: SocketOptions = NO_OPTIONS,
        accept_queue: int | None = None,
    ) -> TcpListener:
        """Open a port, for MPTCP and for plain TCP (section 3.7).

        :param options: the options of new connections. A join has the options of its connection.
        :param accept_queue: see :class:`testbed.stack.connection.Endpoint`. Joins do not count.
        :raises OSError: EADDRINUSE if the port is open already.
        :raises ValueError: an option has a value that is not allowed, or MPTCP does not have the
            option.
        """
        options.require_mptcp()
        deny_join = self.config.deny_join_initial
        port = OpenPort(self, self._tokens, self._joins, options, deny_join=deny_join)
        return self.tcp.listen(local, port, backlog, options=options, accept_queue=accept_queue)

    def accepted(self, connection: Connection) -> None:
        """Record that the program has accepted a connection from the accept queue."""
        self.tcp.accepted(connection)

    @property
    def flows(self) -> Collection[Flow]:
        """The flows of all subflows."""
        return self.tcp.flows

    def peer_key(self, flow: Flow) -> int | None:
        """Return the key of the peer of a subflow; ``None``: it is not known, or this is TCP."""
        tcp = self.tcp.connection(flow)
        subflow = tcp.extension if tcp is not None else None
        return subflow.peer_key if isinstance(subflow, Subflow) else None

    def avoids_mptcp(self, host: str, now: int) -> bool:
        """Return whether a connection to a host would begin without MPTCP (section 3.9.3)."""
        return self._black_holes.swallow(host, now)

    def uses(self, port: int) -> bool:
        """Return whether a subflow has this local port."""
        return self.tcp.uses(port)

    def receive(self, segment: Segment, now: int) -> None:
        """Process a segment for this host. Its checksum was verified."""
        if segment.flags & SYN and segment.length > 1:
            segment = syn_alone(segment, self.config.tcp)
        self.tcp.receive(segment, now)
        if self._new:
            self._attach()

    def receive_icmp(self, error: IcmpError, now: int) -> None:
        """Process an ICMP error about a segment of this host."""
        self.tcp.receive_icmp(error, now)

    def handle_timer(self, now: int) -> None:
        """Handle the expired timers."""
        self.tcp.handle_timer(now)
        for connection in self._timers.expired(now):
            try:
                connection.next_timer()  # this call may be the one that fails: see _deadline
                connection.handle_timer(now)
            except Exception as error:
                self.crash(connection, error, now)
            self.touch(connection)

    def next_timer(self) -> int | None:
        """Return the time at which ``handle_timer`` is due, or ``None``."""
        own, subflows = self._timers.next(), self.tcp.next_timer()
        if own is None or subflows is None:
            return subflows if own is None else own
        return min(own, subflows)

    def segments_to_send(self, now: int) -> Sequence[Segment]:
        """Return all segments to send now, in order."""
        self._settle(now)
        segments = self.tcp.segments_to_send(now)
        while self._touched or self._faults or self.tcp.events:
            self._settle(now)
            segments = [*segments, *self.tcp.segments_to_send(now)]
        return segments

    def next_event(self) -> tuple[Connection, Event] | None:
        """Return the next event, or ``None``."""
        return self._events.popleft() if self._events else None

    def address_added(self, host: str, now: int) -> None:
        """Process a new address of the host."""
        self.paths.tell(lambda paths: paths.address_added(host, now), now)

    def address_removed(self, host: str, now: int) -> None:
        """Process the removal of an address of the host."""
        self.paths.tell(lambda paths: paths.address_removed(host, now), now)

    def carrier_lost(self, host: str, now: int) -> None:
        """Process the loss of the carrier of an address's interface."""
        self.paths.tell(lambda paths: paths.carrier_lost(host), now)

    def carrier_returned(self, host: str, now: int) -> None:
        """Process the return of the carrier of an address's interface."""
        self.paths.tell(lambda paths: paths.carrier_returned(host, now), now)

    # Methods for open ports and joins (testbed.stack.mptcp.open_port.Host and joins.Host).

    def begin(self, keys: Keys, flow: Flow, options: SocketOptions) -> HalfOpen:
        """Create a connection for an MP_CAPABLE."""
        config = self.config
        if options is not NO_OPTIONS:
            config = config.with_options(options)
        return HalfOpen(self, config, keys, flow, options)

    def complete(self, half_open: HalfOpen) -> MptcpConnection:
        """Return the connection that a half-open one becomes."""
        try:
            connection = self._connection(half_open, initiator=False)
        except Exception as error:
            self._tokens.remove(half_open)
            self._faults.append((None, error))
            raise
        self._tokens.add(connection)
        return connection

    def refused(self, half_open: HalfOpen) -> None:
        """Forget a half-open connection that has ended."""
        self._tokens.remove(half_open)

    def expect(self, subflow: Subflow, flow: Flow) -> None:
        """Attach a subflow to its TCP connection as soon as that exists."""
        self._new.append((subflow, flow))

    def dial(self, flow: Flow, now: int, subflow: Subflow) -> TcpConnection:
        """Open a TCP connection for a subflow.  Raises OSError."""
        return self.tcp.connect(flow, now, extension=subflow)

    def fault(self, connection: MptcpConnection | None, error: Exception) -> None:
        """Record an exception at a place where its connection cannot be ended at once."""
        self._faults.append((connection, error))

    # Methods for path control (testbed.stack.mptcp.path_control.Host).

    def crash(self, connection: MptcpConnection, error: Exception, now: int) -> None:
        """End a connection after an exception in it. This method raises nothing.

        Each subflow ends with RST, with MP_FASTCLOSE if the peer's key is known.
        """
        for subflow in connection.crash(error):
            tcp = subflow.attached
            if tcp is None:
                continue
            self.tcp.crash(tcp, error)
            if subflow.initiated and subflow.number:
                self.release(tcp.flow.local)
        self._follow(connection)
        self._tell_of(error, now, {"token": connection.keys.token})

    # Methods for connections (testbed.stack.mptcp.services.Host).

    @property
    def memory(self) -> WindowMemory:
        """The memory by which receive windows may grow, also those of TCP."""
        return self.tcp.memory

    def count(self, name: str) -> None:
        """Increment the MPTcpExt counter that has this name."""
        self._counted.count(f"MPTcpExt{name}")

    def touch(self, connection: MptcpConnection) -> None:
        """Schedule a step of a connection."""
        self._touched[connection] = None

    def trace(self, name: str, now: int, connection: MptcpConnection, **fields: Any) -> None:
        """Trace an event."""
        self._tracer.event(name, now, {"token": connection.keys.token, **fields})

    def join(self, connection: MptcpConnection, command: OpenSubflow, now: int) -> None:
        """Send MP_JOIN (section 3.2), or do nothing if that is impossible."""
        self._joins.open(connection, command, now)

    def opened(self, connection: MptcpConnection, subflow: Subflow, now: int) -> None:
        """Record whether the opening of the first subflow shows that MPTCP works with the peer."""
        host = connection.flow.remote.host
        if connection.initiator and subflow.opening.swallowed:
            self.count("MPCapableSYNTXDrop")
            if self._black_holes.found(host, now):
                self.count("Blackhole")
        elif connection.initiator and not subflow.fallback:
            self._black_holes.disproved(host)

    def release(self, local: Address) -> None:
        """Release the local port of a joined subflow that has ended."""
        self._joins.release(local)

    # Internal methods.

    def _settle(self, now: int) -> None:
        """Run the steps of connections until no connection has new records."""
        while True:
            while self.tcp.events:
                self._take_event(*self.tcp.events.popleft())
            if self._faults:
                self._crash_found(now)
            if not self._touched:
                return
            touched, self._touched = self._touched, {}
            for connection in touched:
                try:
                    connection.step(now)
                except Exception as error:
                    self.crash(connection, error, now)
                self._follow(connection)

    def _follow(self, connection: MptcpConnection) -> None:
        """Update the tables after a step of a connection."""
        events = connection.events
        while events.queue:
            event = events.take()
            self._events.append((connection, event))
            if type(event) is Connected:
                self._queued.discard(connection.flow)
        if connection.closed and not connection.subflows:
            if connection.flow in self._queued:  # no program will accept it
                self._queued.remove(connection.flow)
                self.tcp.accepted(connection)
            if self._tokens.remove(connection):
                self._counted.add(connection.totals())
            self._timers.forget(connection)
            connection.drop()
        else:
            self._timers.arm(connection, _deadline(connection))

    def _crash_found(self, now: int) -> None:
        """End the connections of recorded exceptions."""
        faults, self._faults = self._faults, []
        for connection, error in faults:
            if connection is None:
                self._tell_of(error, now, {})
            else:
                self.crash(connection, error, now)

    def _tell_of(self, error: Exception, now: int, fields: dict[str, Any]) -> None:
        with contextlib.suppress(Exception):  # the listener itself may have failed
            self._tracer.event("fault", now, {**fields, "error": repr(error)})

    def _take_event(self, tcp: TcpConnection, event: Event) -> None:
        """Dispatch an event of TCP: that of a subflow to its connection, others to the application.

        An error of a subflow is not an error of its connection. The event that data is readable is
        not needed for subflows: their hooks see each segment.
        """
        if not isinstance(tcp.extension, Subflow):
            self.tcp.told(tcp, event)
            self._events.append((tcp, event))
            return
        if tcp.extension.number:
            self.tcp.accepted(tcp)
        elif type(event) is Connected and tcp.accepted and not _early(tcp):
            self._queued.add(tcp.flow)
        if not isinstance(event, ErrorReport):
            try:
                tcp.extension.enter()
            except Exception as error:
                self._blame(tcp, tcp.extension, error)
            tcp.extension.stir()

    def _attach(self) -> None:
        """Attach new subflows to the TCP connections that were created for them."""
        new, self._new = self._new, []
        for subflow, flow in new:
            tcp = self.tcp.connection(flow)
            if tcp is None or tcp.extension is not subflow:  # TCP may have none after an exception
                subflow.abandon()
                continue
            subflow.attach(tcp)
            if _early(tcp):
                try:
                    subflow.open_early()
                except Exception as error:
                    self._blame(tcp, subflow, error)

    def _blame(self, tcp: TcpConnection, subflow: Subflow, error: Exception) -> None:
        """End the connection of a subflow after an exception, or TCP if there is none yet."""
        connection = self._tokens.find(subflow.token)
        if connection is not None:
            self._faults.append((connection, error))
        else:  # ``complete`` has recorded the exception
            self.tcp.crash(tcp, error)

    def _connection(self, half_open: HalfOpen, *, initiator: bool) -> MptcpConnection:
        """Create a connection, with the endpoints that there are now."""
        config, endpoints = half_open.config, self.paths.endpoints
        if config.endpoints is not endpoints:
            config = msgspec.structs.replace(config, endpoints=endpoints)
        manager = PATH_MANAGERS[config.path_manager](config.endpoints, config.limits)
        return MptcpConnection(self, half_open, config, manager, self._network, initiator=initiator)


def _early(tcp: TcpConnection) -> bool:
    """Return whether the program got a connection before its handshake was complete."""
    return tcp.early is not None and tcp.early.accepted


def _deadline(connection: MptcpConnection) -> int:
    """Return when a connection is due. If it raises, it is due at once, and then ends."""
    try:
        due = connection.next_timer()
    except Exception:
        return 0
    return NEVER if due is None else due
