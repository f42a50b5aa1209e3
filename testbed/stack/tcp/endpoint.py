"""All TCP connections and open ports of a host."""

from __future__ import annotations

import contextlib
import errno
from collections import deque
from collections.abc import Collection, Sequence

from testbed.errors import InputError
from testbed.packet.address import Address, Flow, is_unicast
from testbed.packet.icmp import IcmpError
from testbed.packet.options import FastOpen, MaximumSegmentSize, find
from testbed.packet.segment import ACK, RST, SYN, Segment
from testbed.packet.sequence import BITS_32, expand
from testbed.stack.connection import Closed, Connected, Connection, Event
from testbed.stack.counters import Counters
from testbed.stack.deadlines import Deadlines
from testbed.stack.options import NO_OPTIONS, SocketOptions
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.congestion import CONTROLS
from testbed.stack.tcp.congestion.control import Group
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.connection_table import ConnectionTable
from testbed.stack.tcp.extension import Acceptor, Extension
from testbed.stack.tcp.fast_open import CookieCache, Early
from testbed.stack.tcp.info import totals
from testbed.stack.tcp.isn import initial_sequence_number, timestamp_offset
from testbed.stack.tcp.listener import DEFAULT_BACKLOG, TcpListener
from testbed.stack.tcp.open_ports import OpenPorts
from testbed.stack.tcp.output import farewell
from testbed.stack.tcp.path_mtu import PathMtus
from testbed.stack.tcp.right_sizing import WindowMemory
from testbed.stack.tcp.segment_size import advertised_mss, headers_of, peers_mss
from testbed.stack.tcp.state import OPEN, RESETTABLE, State, Trigger
from testbed.stack.tcp.tcb import Numbers
from testbed.stack.tcp.time_wait import MOST_TIME_WAIT, TimeWait, is_new_incarnation, next_isn
from testbed.trace import NullTracer, Tracer


class TcpEndpoint:
    """Implements :class:`~testbed.stack.connection.Endpoint`.

    The cost of an event does not depend on the number of connections: a set has the connections
    that may have something to send, and a heap has the timers, whose entries may be outdated.
    """

    def __init__(
        self,
        config: TcpConfig,
        secret: bytes,
        *,
        stray: Acceptor | None = None,
        tracer: Tracer | None = None,
        ridden: TcpConfig | None = None,
    ) -> None:
        """Create an endpoint without connections.

        :param secret: the key of function F of RFC 6528 and of SYN cookies, at least 16 octets.
        :param ridden: the configuration of connections with an extension, if it differs. It must
            offer the same options.
        :param stray: accepts or refuses SYNs to ports without a listener. Without it they are
            refused.
        :param tracer: gets the exceptions in acceptors, which belong to no connection.
        """
        self.config = config
        self.memory = WindowMemory(config.receive_memory)
        self._ridden = ridden or config
        self._paths = PathMtus()
        self._servers = CookieCache(cookies=config.fast_open_cookies)
        self._secret = secret
        self._counted = Counters()
        self._open_ports = OpenPorts(self, config, secret, stray, tracer or NullTracer())
        self._connections = ConnectionTable()
        self._awake: dict[TcpConnection, None] = {}
        self._time_wait = TimeWait(MOST_TIME_WAIT)
        self._timers: Deadlines[TcpConnection] = Deadlines()
        self.events: deque[tuple[TcpConnection, Event]] = deque()
        self._ready: list[Segment] = []  # answers that belong to no connection, and probes
        # Connections that raised an exception and are to be forgotten.
        self._struck: list[TcpConnection] = []
        self._gone: list[TcpConnection] = []  # connections that are forgotten and are to be dropped

    # OPEN

    def connect(
        self,
        flow: Flow,
        now: int,
        extension: Extension | None = None,
        *,
        data: bytes = b"",
        ask_cookie: bool = False,
        options: SocketOptions = NO_OPTIONS,
    ) -> TcpConnection:
        """Open a connection. ``Connected`` or ``Closed`` reports the result.

        :param data: data to send as by ``send``; with ``fast_open`` on the SYN as far as possible.
        :param ask_cookie: with ``fast_open``, request a cookie even without data.
        :raises ValueError: an option has a value that is not allowed.
        :raises OSError: EADDRINUSE if the connection exists already; ENETUNREACH, as in Linux, if
            the remote address is no unicast address (MUST-46).
        """
        if not is_unicast(flow.remote.host):
            raise OSError(errno.ENETUNREACH, f"{flow.remote.host} is not a unicast address")
        _check(options)
        old = self._connections.get(flow)
        if old is not None and old.state is not State.CLOSED:
            raise OSError(errno.EADDRINUSE, f"the connection {flow} exists already")
        isn = initial_sequence_number(flow, self._secret, now)
        self.count("TcpActiveOpens")
        connection = self._make(flow, isn, extension, options, now, accepted=False)
        try:
            early = self._early_of(flow, now, options) if data or ask_cookie else None
            connection.open(now, early)
            if data:
                connection.send(data)
        except Exception as error:
            self.crash(connection, error)
        return connection

    def early_limit(self, flow: Flow, now: int, options: SocketOptions = NO_OPTIONS) -> int:
        """Return how many octets the SYN of a new connection could carry (RFC 7413)."""
        early = self._early_of(flow, now, options)
        return early.limit if early is not None else 0

    def _early_of(self, flow: Flow, now: int, options: SocketOptions) -> Early | None:
        config = self.config
        if not config.fast_open:
            return None
        mss = advertised_mss(flow, config.with_options(options))
        mtu = self._paths.known(flow, now)
        if mtu is not None:
            mss = min(mss, mtu - headers_of(flow))
        return self._servers.early(flow, now, mss)

    def rotate_fast_open_key(self, secret: bytes) -> None:
        """Change the key of TCP Fast Open cookies. Those of the previous key stay valid.

        :param secret: the new key, at least 16 octets.
        """
        self._open_ports.rotate_fast_open_key(secret)

    def listen(
        self,
        local: Address,
        acceptor: Acceptor | None = None,
        backlog: int = DEFAULT_BACKLOG,
        *,
        options: SocketOptions = NO_OPTIONS,
        accept_queue: int | None = None,
    ) -> TcpListener:
        """Open a port.

        :param acceptor: returns the extension of each connection.
        :param options: the options of new connections.
        :param accept_queue: see :class:`testbed.stack.connection.Endpoint`.
        :raises ValueError: an option has a value that is not allowed.
        :param backlog: how many connections may be in the handshake at a time.
        :raises OSError: EADDRINUSE if the port is open already.
        """
        _check(options)
        return self._open_ports.open(local, acceptor, backlog, options, accept_queue)

    def connection(self, flow: Flow) -> TcpConnection | None:
        """Return the connection of a flow, also during its handshake."""
        return self._connections.get(flow)

    @property
    def flows(self) -> Collection[Flow]:
        """The flows of all connections."""
        return self._connections.flows

    def uses(self, port: int) -> bool:
        """Return whether a connection has this local port, even in TIME-WAIT."""
        return self._connections.uses(port)

    def accepted(self, connection: Connection) -> None:
        """Record an accepted connection, which frees a place in the accept queue."""
        self._open_ports.accepted(connection.flow)

    @property
    def counters(self) -> dict[str, int]:
        """The MIB counters that are not 0, with the names of nstat(8).

        ``TcpInSegs`` and ``TcpOutSegs`` count the segments of connections.
        """
        return self._counted.with_living(map(totals, self._connections))

    def count(self, name: str) -> None:
        """Increment a MIB counter."""
        self._counted.count(name)

    # SEGMENT ARRIVES

    def receive(self, segment: Segment, now: int) -> None:
        """Process a segment for this host. Its checksum was verified."""
        connection = self._connections.get((segment.destination, segment.source))
        if connection is not None and connection.state in OPEN:
            self.deliver(connection, segment, now)
            return
        flow = Flow(segment.destination, segment.source)
        if (
            connection is not None
            and is_new_incarnation(connection, segment)
            and self._open_ports.find(segment.destination)
        ):
            isn = next_isn(connection)
            self._end_time_wait(connection)
            self._open_ports.receive(segment, flow, now, isn)
        elif connection is None or connection.state is State.CLOSED:
            self._open_ports.receive(segment, flow, now)
        elif connection.state in (State.SYN_SENT, State.SYN_RECEIVED) and _bad_ack(
            connection, segment
        ):
            self._open_ports.refuse(segment)
        elif connection.state is State.SYN_RECEIVED and self._open_ports.overflows(
            connection, segment
        ):
            return  # the peer will send the segment again
        else:
            self.deliver(connection, segment, now)

    def receive_icmp(self, error: IcmpError, now: int) -> None:
        """Process an ICMP error about a segment of this host (RFC 5927)."""
        connection = self._connections.get(error.flow)
        if connection is None:
            return
        try:
            before = connection.path_mtu
            connection.receive_icmp(error)
            if connection.path_mtu < before:
                self._path_shrank(error.flow, connection.path_mtu, now)
        except Exception as fault:
            self.crash(connection, fault)

    def _path_shrank(self, flow: Flow, mtu: int, now: int) -> None:
        """Let the other connections of a path keep to its MTU (RFC 8201, section 4)."""
        self._paths.learn(flow, mtu, now)
        for other in self._connections.of_path(flow):
            try:
                other.path_shrinks(mtu)
            except Exception as fault:
                self.crash(other, fault)

    def _bound_time_wait(self, connection: TcpConnection) -> None:
        """Record a connection in TIME-WAIT; end the oldest if there are too many."""
        oldest = self._time_wait.add(connection)
        if oldest is not None:
            self.count("TcpExtTCPTimeWaitOverflow")
            self._end_time_wait(oldest)
            self._awake[oldest] = None

    def _end_time_wait(self, connection: TcpConnection) -> None:
        try:
            connection.end(None, Trigger.TIMEOUT)
        except Exception as error:
            self.crash(connection, error)

    def _make(
        self,
        flow: Flow,
        isn: int,
        extension: Extension | None,
        options: SocketOptions,
        now: int,
        *,
        accepted: bool,
    ) -> TcpConnection:
        config = self.config
        if extension is not None:
            config, options = self._ridden, extension.socket_options(options)
        config = config.with_options(options)
        group = Group() if extension is None else extension.group()
        control = CONTROLS[config.congestion](group)
        group.join(control)
        offset = timestamp_offset(flow, self._secret) if self.config.timestamps else 0
        numbers = Numbers(isn, offset)
        connection = TcpConnection(
            flow, config, self, control, extension, numbers, accepted=accepted
        )
        mtu = self._paths.known(flow, now)
        if mtu is not None:
            connection.limit_segments(mtu - connection.headers)
        old = self._connections.get(flow)
        if old is not None:  # the old connection has ended with its last segment still queued
            self._forget(old)
        self._connections.add(connection)
        self._awake[connection] = None
        return connection

    # Timers

    def handle_timer(self, now: int) -> None:
        """Handle the expired timers."""
        for connection in self._timers.expired(now):
            try:
                self._ready += connection.handle_timers(now)
                self._awake[connection] = None
            except Exception as error:
                self.crash(connection, error)

    def next_timer(self) -> int | None:
        """Return the time at which ``handle_timer`` is due, or ``None``."""
        return self._timers.next()

    # Output

    def segments_to_send(self, now: int) -> Sequence[Segment]:
        """Return the segments to send now, in order. The caller must send all of them."""
        while self._struck:
            self._forget(self._struck.pop())
        open_ports = self._open_ports
        out, self._ready = self._ready, []
        while self._awake:
            awake, self._awake = self._awake, {}
            for connection in awake:
                try:
                    out += connection.segments_to_send(now)
                except Exception as error:
                    self.crash(connection, error)
                if open_ports.early:
                    open_ports.release_early(connection, now)
                if connection.state is State.CLOSED:
                    self._forget(connection)
                    continue
                if connection.state is State.TIME_WAIT:
                    self._bound_time_wait(connection)
                self._timers.arm(connection, connection.next_timer())
        if self._ready:  # the last segments of connections that were ended here
            out += self._ready
            self._ready = []
        if self._gone:
            self._drop_gone()
        return out

    def _drop_gone(self) -> None:
        """Drop the forgotten connections. Their events need the extension, so they go first."""
        if not self.events:
            for connection in self._gone:
                connection.drop()
            self._gone.clear()

    def crash(self, connection: TcpConnection, error: Exception) -> None:
        """Reset a connection after an exception in it. This method raises nothing.

        ``Closed`` has the exception, even if the connection was not accepted yet.
        """
        if connection.reset or connection.state in RESETTABLE:
            self._ready.append(farewell(connection))
        if connection.crash(error):
            self.report(connection, Closed(connection.failure))
        self._timers.forget(connection)
        self._struck.append(connection)

    def _forget(self, connection: TcpConnection) -> None:
        self._open_ports.forget(connection)
        self._timers.forget(connection)
        self._time_wait.remove(connection)
        if self._connections.remove(connection):
            self._counted.add({**totals(connection), "TcpCurrEstab": 0})
            self._gone.append(connection)
            if connection.extension is not None:
                with contextlib.suppress(Exception):  # the connection is forgotten already
                    connection.extension.group().leave(connection.congestion)

    def next_event(self) -> tuple[TcpConnection, Event] | None:
        """Return the next event, or ``None``."""
        if not self.events:
            return None
        found = self.events.popleft()
        self.told(*found)
        return found

    def told(self, connection: TcpConnection, event: Event) -> None:
        """Record that the program gets an event, so that it is reported when it occurs again."""
        try:
            connection.event_taken(event)
        except Exception as error:
            self.crash(connection, error)

    # Methods for connections

    def wake(self, connection: TcpConnection) -> None:
        """Schedule a request for the segments of a connection."""
        self._awake[connection] = None

    def fast_open_told(self, connection: TcpConnection, syn_ack: Segment, now: int) -> None:
        """Record what the answer to a SYN says about the server's TCP Fast Open."""
        sender, servers, flow = connection.sender, self._servers, connection.flow
        option: FastOpen | None = find(syn_ack.options, FastOpen)
        mss: MaximumSegmentSize | None = find(syn_ack.options, MaximumSegmentSize)
        servers.answered(flow, option, peers_mss(flow, None if mss is None else mss.mss))
        if not sender.next:
            return  # the SYN carried no data
        if not sender.una:
            self.count("TcpExtTCPFastOpenActiveFail")
        if sender.una:
            self.count("TcpExtTCPFastOpenActive")
            servers.accepted(flow)
        elif sender.total_resent:
            servers.lost(flow, now)
        elif option is None:
            servers.refused(flow)

    def report(self, connection: TcpConnection, event: Event) -> None:
        """Queue an event if the application must be informed."""
        if type(event) not in (Connected, Closed) or self._open_ports.tells(connection, event):
            self.events.append((connection, event))

    # Methods for open ports

    def begin(
        self, flow: Flow, isn: int, extension: Extension | None, options: SocketOptions, now: int
    ) -> TcpConnection:
        """Create a connection for a SYN."""
        return self._make(flow, isn, extension, options, now, accepted=True)

    def deliver(self, connection: TcpConnection, segment: Segment, now: int) -> None:
        """Pass a segment to a connection."""
        try:
            connection.receive(segment, now)
            self._awake[connection] = None
        except Exception as error:
            self.crash(connection, error)

    def answer(self, segment: Segment) -> None:
        """Send a segment that belongs to no connection."""
        self._ready.append(segment)


def _check(options: SocketOptions) -> None:
    """Check the values of options. Raises ValueError."""
    options.check()
    if options.congestion is not None:
        try:
            CONTROLS[options.congestion]
        except InputError as error:
            raise ValueError(str(error)) from None


def _bad_ack(connection: TcpConnection, segment: Segment) -> bool:
    """Return whether a segment acknowledges unsent data in SYN-SENT or SYN-RECEIVED."""
    if not segment.flags & ACK:
        return False
    if connection.state is State.SYN_RECEIVED and segment.flags & (RST | SYN):
        return False
    sender = connection.sender
    return not sender.una < expand((segment.ack - sender.base) & BITS_32, 0) <= sender.next
