"""A host's MPTCP: all its connections, and the TCP endpoint whose connections are subflows.

Segments go to TCP first, where the subflows' hooks record what they say.  Then each connection that
has something recorded makes a step, and what it asks of its subflows' TCP leaves with the next
``segments_to_send``.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from testbed.stack.connection import Connection, ErrorReport, Event, Randomness
from testbed.stack.counters import Counters
from testbed.stack.deadlines import NEVER, Deadlines
from testbed.stack.mptcp import crypto
from testbed.stack.mptcp.black_holes import BlackHoles
from testbed.stack.mptcp.capable import CapableInitiator, CapableResponder, usable
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.connection import MptcpConnection
from testbed.stack.mptcp.join import JoinInitiator, JoinOffer, JoinResponder
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.path_control import PathControl
from testbed.stack.mptcp.path_manager import PATH_MANAGERS
from testbed.stack.mptcp.path_manager.base import (
    OpenSubflow,
    PathEndpoint,
    PathError,
    SubflowPath,
)
from testbed.stack.mptcp.paths import ConnectionPaths, LocalNetwork
from testbed.stack.mptcp.state import DataState
from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.options import NO_OPTIONS, SocketOptions
from testbed.stack.packet.address import Address, Flow
from testbed.stack.packet.icmp import IcmpError
from testbed.stack.packet.mptcp import (
    VERSION,
    MpCapable,
    MpJoinSyn,
    MptcpOption,
    MpTcprst,
    ResetReason,
)
from testbed.stack.packet.options import FastOpen, Option, find
from testbed.stack.packet.segment import ACK, FIN, SYN, Segment
from testbed.stack.packet.sequence import BITS_32
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.endpoint import TcpEndpoint
from testbed.stack.tcp.extension import Extension, Refuse
from testbed.stack.tcp.listener import DEFAULT_BACKLOG, TcpListener
from testbed.trace import NullTracer, Tracer

_REFUSED: Final = (MpTcprst(reason=ResetReason.MPTCP),)  # what section 3.2 says to a join


class MptcpEndpoint:
    """See :class:`testbed.stack.connection.Endpoint`.

    :param rng: where keys, nonces and ports come from.
    :param secret: for initial sequence numbers (RFC 6528), and for keys where nothing is kept.
    :param network: what the host knows of its addresses; the path managers ask it.
    :ivar config: of connections that begin from now on.
    :ivar paths: by which programs change endpoints and subflows.
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
        self.paths = PathControl(self)
        plain = msgspec.structs.replace(
            config.tcp,
            receive_buffer=config.receive_buffer,
            receive_buffer_initial=config.receive_buffer_initial,
        )
        self.tcp = TcpEndpoint(
            plain, secret, stray=_Joins(self), ridden=_subflow_config(plain), tracer=tracer
        )
        self._rng = rng
        self._secret = secret
        self._network = network
        self._tracer = tracer or NullTracer()
        self._black_holes = BlackHoles(config.blackhole_timeout_ns)
        self._counted = Counters()
        self._by_token: dict[int, MptcpConnection] = {}
        self._touched: dict[MptcpConnection, None] = {}
        # Accepted, and not yet attached to their TCP.
        self._new: list[tuple[MptcpConnection, Subflow, Flow]] = []
        self._events: deque[tuple[Connection, Event]] = deque()
        self._timers: Deadlines[MptcpConnection] = Deadlines(_deadline)
        # Exceptions where a connection cannot be ended, or that are none's.
        self._faults: list[tuple[MptcpConnection | None, Exception]] = []

    # What a driver calls.

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
        :raises ValueError: an option cannot have its value, or is none of MPTCP.
        :raises OSError: EADDRINUSE, there is such a connection already.
        """
        config, keys = self.config, self._new_keys()
        swallowed = self._black_holes.swallow(flow.remote.host, now)
        tries = 0 if swallowed else config.syn_retrans_before_tcp_fallback + 1
        handshake = CapableInitiator(keys, deny_join=config.deny_join_initial, tries=tries)
        connection, subflow = self._connection(keys, handshake, flow, options, initiator=True)
        ask_cookie |= bool(data)
        subflow.attach(self.tcp.connect(flow, now, subflow, ask_cookie=ask_cookie, options=options))
        self._by_token[keys.token] = connection
        if data:
            subflow.send_early(data[: connection.send(data)])
        if tries:
            self.count("MPCapableSYNTX")
        return connection

    @property
    def counters(self) -> dict[str, int]:
        """The MIB counters that are not 0, by the names of nstat(8)."""
        living = (one.totals() for one in self._by_token.values())
        return {**self.tcp.counters, **self._counted.with_living(living)}

    @property
    def connections(self) -> int:
        """How many connections of MPTCP there are, those in the handshake too."""
        return len(self._by_token)

    def listen(
        self,
        local: Address,
        backlog: int = DEFAULT_BACKLOG,
        *,
        options: SocketOptions = NO_OPTIONS,
        accept_queue: int | None = None,
    ) -> TcpListener:
        """Open a port, for MPTCP and for plain TCP (section 3.7).

        :param options: connections to it begin with them; joins have those of their connection.
        :param accept_queue: see :class:`testbed.stack.connection.Endpoint`; joins take no place.
        :raises OSError: EADDRINUSE, it is open already.
        :raises ValueError: an option cannot have its value, or is none of MPTCP.
        """
        options.require_mptcp()
        port = _Port(self, options)
        return self.tcp.listen(local, port, backlog, options=options, accept_queue=accept_queue)

    def accepted(self, connection: Connection) -> None:
        """Take that the program has accepted a connection, where there is an accept queue."""
        self.tcp.accepted(connection)

    def uses(self, port: int) -> bool:
        """Tell whether a subflow has this local port."""
        return self.tcp.uses(port)

    def receive(self, segment: Segment, now: int) -> None:
        """Take a segment whose checksum is right and that is for this host."""
        if segment.flags & SYN and segment.length > 1:
            segment = _syn_alone(segment, self.config.tcp)
        self.tcp.receive(segment, now)
        if self._new:
            self._attach()

    def receive_icmp(self, error: IcmpError, now: int) -> None:
        """Take an ICMP error about a segment that this host has sent."""
        self.tcp.receive_icmp(error, now)

    def handle_timer(self, now: int) -> None:
        """Do what is due."""
        self.tcp.handle_timer(now)
        for connection in self._timers.expired(now):
            try:
                connection.next_timer()  # may be what fails: see _deadline
                connection.handle_timer(now)
            except Exception as error:
                self._crash(connection, error, now)
            self.touch(connection)

    def next_timer(self) -> int | None:
        """Return when ``handle_timer`` has something to do, or ``None``: never."""
        own, subflows = self._timers.next(), self.tcp.next_timer()
        if own is None or subflows is None:
            return subflows if own is None else own
        return min(own, subflows)

    def segments_to_send(self, now: int) -> Sequence[Segment]:
        """Return the segments that can leave now, in order."""
        while True:
            self._settle(now)
            segments = self.tcp.segments_to_send(now)
            if segments or not self.tcp.eventful:
                return segments

    def next_event(self) -> tuple[Connection, Event] | None:
        """Return one thing that happened, or ``None``."""
        return self._events.popleft() if self._events else None

    def address_added(self, host: str, now: int) -> None:
        """The host has a further address."""
        self.tell(lambda paths: paths.address_added(host, now), now)

    def address_removed(self, host: str, now: int) -> None:
        """The host has an address no more."""
        self.tell(lambda paths: paths.address_removed(host, now), now)

    def carrier_lost(self, host: str, now: int) -> None:
        """The interface of an address is down, or has no carrier."""
        self.tell(lambda paths: paths.carrier_lost(host), now)

    def carrier_returned(self, host: str, now: int) -> None:
        """The interface of an address is up and has a carrier again."""
        self.tell(lambda paths: paths.carrier_returned(host, now), now)

    # What path control asks (testbed.stack.mptcp.path_control.Connections).

    @property
    def endpoints(self) -> tuple[PathEndpoint, ...]:
        """Those that connections of the future begin with."""
        return self.config.endpoints

    def keep_endpoints(self, endpoints: Sequence[PathEndpoint]) -> None:
        """Let connections of the future begin with these."""
        self.config = msgspec.structs.replace(self.config, endpoints=tuple(endpoints))

    def tell(self, change: Callable[[ConnectionPaths], None], now: int) -> None:
        """Let the paths of each connection know of a change."""
        for connection in list(self._by_token.values()):
            self._change(connection, change, now)

    def established(self) -> Sequence[tuple[int, ConnectionPaths]]:
        """Return the tokens and paths of the connections on which data can flow."""
        over = (DataState.OPENING, DataState.CLOSED)
        return [(t, one.paths) for t, one in self._by_token.items() if one.state not in over]

    def on(self, token: int, change: Callable[[ConnectionPaths], None], now: int) -> None:
        """Change the paths of one living connection.

        :raises PathError: there is none with this token, or the change is refused.
        """
        connection = self._by_token.get(token)
        if connection is None or connection.closed:
            raise PathError(f"no connection has the token {token}")
        refusal = self._change(connection, change, now)
        if refusal is not None:
            raise refusal

    def _change(
        self, connection: MptcpConnection, change: Callable[[ConnectionPaths], None], now: int
    ) -> PathError | None:
        """Change the paths of a connection; return why that is refused."""
        refusal = None
        try:
            change(connection.paths)
        except PathError as error:
            refusal = error
        except Exception as error:
            self._crash(connection, error, now)
        self.touch(connection)
        return refusal

    # What open ports ask at accept time.

    def accept(self, syn: Segment, options: SocketOptions) -> Extension | None:
        """Decide what rides on the connection a SYN asks for: MPTCP, a join, or nothing.

        :param options: what a new connection begins with.
        :raises Refuse: a join with a token nobody here has, or one too many.
        """
        flow = Flow(syn.destination, syn.source)
        join: MpJoinSyn | None = find(syn.options, MpJoinSyn)
        if join is not None:
            return self.accept_join(join, flow, listening=True)
        capable = _asks(syn)
        if capable is None:
            return None
        self.count("MPCapableSYNRX")
        return self._accept(self._new_keys(), capable, flow, options)

    def offer(self, syn: Segment) -> Sequence[Option] | None:
        """Return the options for a SYN,ACK of which nothing is kept (RFC 4987, section 3.6).

        The third ACK brings our key back.  Where another connection has its token, it is plain TCP
        (section 3.1).  A join gets no answer: its peer has other paths.
        """
        if find(syn.options, MpJoinSyn) is not None:
            return None
        capable = _asks(syn)
        if capable is None:
            return ()
        keys = self._stateless_keys(syn, syn.seq)
        if keys.token in self._by_token:
            return ()
        responder = self._responder(keys, capable)
        return responder.options(SYN | ACK, None) or ()

    def resume(self, ack: Segment, options: SocketOptions) -> Extension | None:
        """Make of a third ACK the connection for which :meth:`offer` gave the options.

        With a key that is not ours it is plain TCP (section 3.1).

        :param options: what it begins with.
        :raises Refuse: another connection has our token by now, or the ACK has no key though its
            sender speaks MPTCP.
        """
        capable: MpCapable | None = find(ack.options, MpCapable)
        if capable is None or capable.receiver_key is None:
            if find(ack.options, MptcpOption) is None:
                return None
            raise Refuse("nothing is known of this connection", _REFUSED)
        keys = self._stateless_keys(ack, (ack.seq - 1) & BITS_32)
        if keys.local != capable.receiver_key:
            return None
        if keys.token in self._by_token:
            raise Refuse("another connection has this token", _REFUSED)
        return self._accept(keys, capable, Flow(ack.destination, ack.source), options)

    def _responder(self, keys: Keys, capable: MpCapable) -> CapableResponder:
        return CapableResponder(keys, deny_join=self.config.deny_join_initial, syn=capable)

    def _accept(
        self, keys: Keys, capable: MpCapable, flow: Flow, options: SocketOptions
    ) -> Extension:
        """Make the connection that an MP_CAPABLE asks for."""
        responder = self._responder(keys, capable)
        connection, subflow = self._connection(keys, responder, flow, options, initiator=False)
        self._by_token[keys.token] = connection
        self._new.append((connection, subflow, flow))
        return subflow

    def accept_join(self, join: MpJoinSyn, flow: Flow, *, listening: bool) -> Extension:
        """Let a join in (section 3.2); joins are told apart by token, not by port.

        :param listening: its port is open.
        :raises Refuse: nobody here has its token, or it is one too many.
        """
        self.count("MPJoinSynRx")
        connection = self._by_token.get(join.token)
        if connection is None or connection.closed or connection.keys.remote is None:
            self.count("MPJoinNoTokenFound")
            raise Refuse("no connection has this token", _REFUSED)
        try:
            return self._admit(connection, join, flow, listening=listening)
        except Refuse:
            raise
        except Exception as error:
            self._faults.append((connection, error))
            raise Refuse("the connection is at fault", _REFUSED) from error

    def _admit(
        self, connection: MptcpConnection, join: MpJoinSyn, flow: Flow, *, listening: bool
    ) -> Extension:
        paths, host = connection.paths, flow.local.host
        address_id = paths.local_id(host)
        if address_id is None or not paths.accepts_join(flow.local, listening=listening):
            self.count("MPJoinRejected")
            said = _REFUSED if listening else ()  # a closed port says no more than that
            raise Refuse("the connection takes no further subflow", said)
        backup = paths.is_backup(host)
        nonce = self._rng.getrandbits(32)
        offer = JoinOffer(address_id=address_id, nonce=nonce, backup=backup)
        handshake = JoinResponder(connection.keys, offer, join)
        path = SubflowPath(
            local_host=flow.local.host,
            local_port=flow.local.port,
            local_id=offer.address_id,
            remote=flow.remote,
            remote_id=join.address_id,
        )
        subflow = connection.new_subflow(handshake, path, backup=backup, initiated=False)
        self._new.append((connection, subflow, flow))
        return subflow

    # What connections ask (testbed.stack.mptcp.connection.Host).

    def count(self, name: str) -> None:
        """Count an event; its name is one of MPTcpExt."""
        self._counted.count(f"MPTcpExt{name}")

    def touch(self, connection: MptcpConnection) -> None:
        """Note that a connection wants to make a step."""
        self._touched[connection] = None

    def trace(self, name: str, now: int, connection: MptcpConnection, **fields: Any) -> None:
        """Tell of an event."""
        self._tracer.event(name, now, {"token": connection.keys.token, **fields})

    def join(self, connection: MptcpConnection, command: OpenSubflow, now: int) -> None:
        """Send MP_JOIN (section 3.2); nothing happens where that cannot be done."""
        offer = JoinOffer(
            address_id=command.local_id, nonce=self._rng.getrandbits(32), backup=command.backup
        )
        remote = command.remote
        handshake = JoinInitiator(connection.keys, offer)
        try:
            port = self._network.port_for(command.local_host, remote.address)
        except OSError:  # none is free
            return
        path = SubflowPath(
            local_host=command.local_host,
            local_port=port,
            local_id=command.local_id,
            remote=remote.address,
            remote_id=remote.id,
        )
        flow = path.flow
        try:
            subflow = connection.new_subflow(handshake, path, backup=command.backup, initiated=True)
            self._dial(connection, subflow, flow, now)
        except Exception as error:
            self.release(flow.local)
            if not isinstance(error, OSError):  # there is such a connection already
                raise

    def _dial(self, connection: MptcpConnection, subflow: Subflow, flow: Flow, now: int) -> None:
        try:
            subflow.attach(self.tcp.connect(flow, now, extension=subflow))
            self.count("MPJoinSynTx")
        except Exception:
            connection.discard(subflow)
            raise

    def opened(self, connection: MptcpConnection, subflow: Subflow, now: int) -> None:
        """Learn from how the first subflow was opened whether MPTCP works with the peer."""
        host = connection.flow.remote.host
        if connection.initiator and subflow.opening.swallowed:
            self._black_holes.found(host, now)
        elif connection.initiator and not subflow.fallback:
            self._black_holes.disproved(host)

    def release(self, local: Address) -> None:
        """Give back the port of a subflow that joined and has ended."""
        try:
            self._network.release_port(local)
        except Exception as error:  # the driver's: no connection is at fault
            self._faults.append((None, error))

    # How it works.

    def _settle(self, now: int) -> None:
        """Let connections make their steps, until none has anything recorded."""
        self._take_events()
        while self._touched or self._faults:
            if self._faults:
                self._crash_found(now)
            touched, self._touched = self._touched, {}
            for connection in touched:
                try:
                    connection.step(now)
                except Exception as error:
                    self._crash(connection, error, now)
                self._follow(connection)
            self._take_events()

    def _follow(self, connection: MptcpConnection) -> None:
        """Take what has become of a connection."""
        while (event := connection.next_event()) is not None:
            self._events.append((connection, event))
        if connection.closed and not connection.subflows:
            if self._by_token.pop(connection.keys.token, None) is not None:
                self._counted.add(connection.totals())
            self._timers.forget(connection)
        else:
            self._timers.arm(connection)

    def _crash(self, connection: MptcpConnection, error: Exception, now: int) -> None:
        """End a connection in which an exception has happened; this raises nothing.

        Each subflow ends with RST, with MP_FASTCLOSE where that can be said.
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

    def _crash_found(self, now: int) -> None:
        """Act on exceptions that happened where a connection could not be ended."""
        faults, self._faults = self._faults, []
        for connection, error in faults:
            if connection is None:
                self._tell_of(error, now, {})
            else:
                self._crash(connection, error, now)

    def _tell_of(self, error: Exception, now: int, fields: dict[str, Any]) -> None:
        with contextlib.suppress(Exception):  # whoever listens may be what has failed
            self._tracer.event("fault", now, {**fields, "error": repr(error)})

    def _take_events(self) -> None:
        """Take TCP's events: a subflow's are for its connection, others for the application.

        What hinders a subflow need not hinder its connection.
        """
        while (found := self.tcp.next_event()) is not None:
            tcp, event = found
            if isinstance(tcp.extension, Subflow):
                if tcp.extension.number:
                    self.tcp.accepted(tcp)
                if isinstance(event, ErrorReport):
                    continue
                tcp.extension.enter()
                tcp.extension.stir()
            else:
                self._events.append((tcp, event))

    def _attach(self) -> None:
        """Tell new subflows of the TCP connections that were made for them."""
        new, self._new = self._new, []
        for connection, subflow, flow in new:
            tcp = self.tcp.connection(flow)
            if tcp is not None and tcp.extension is subflow:
                subflow.attach(tcp)
                if tcp.early is not None and tcp.early.accepted:
                    self._open_early(connection, subflow)
            else:  # an exception has left none
                connection.discard(subflow)

    def _open_early(self, connection: MptcpConnection, subflow: Subflow) -> None:
        try:
            connection.open_early(subflow)
        except Exception as error:
            self._faults.append((connection, error))

    def _connection(
        self,
        keys: Keys,
        handshake: CapableInitiator | CapableResponder,
        flow: Flow,
        options: SocketOptions,
        *,
        initiator: bool,
    ) -> tuple[MptcpConnection, Subflow]:
        config = self.config
        if options is not NO_OPTIONS:
            config = config.with_options(options)
        manager = PATH_MANAGERS[config.path_manager](config.endpoints, config.limits)
        connection = MptcpConnection(
            self, config, keys, flow, manager, self._network, options, initiator=initiator
        )
        initial = connection.paths.initial
        subflow = connection.new_subflow(handshake, initial, backup=False, initiated=initiator)
        return connection, subflow

    def _stateless_keys(self, segment: Segment, seq: int) -> Keys:
        """Return the keys for the SYN that had a sequence number, given a segment of its sender."""
        flow = Flow(segment.destination, segment.source)
        key = crypto.stateless_key(self._secret, flow, seq)
        return self._keys(key)

    def _keys(self, local: int) -> Keys:
        config = self.config
        return Keys(local, checksum=config.checksum, wide_acks=config.data_acks.wide)

    def _new_keys(self) -> Keys:
        """Return keys whose token no other connection has (section 3.1)."""
        while True:
            keys = self._keys(self._rng.getrandbits(64))
            if keys.token not in self._by_token:
                return keys


def _deadline(connection: MptcpConnection) -> int:
    """Return when a connection is due: at once where it cannot tell, which ends it then."""
    try:
        due = connection.next_timer()
    except Exception:
        return 0
    return NEVER if due is None else due


def _asks(syn: Segment) -> MpCapable | None:
    """Return the MP_CAPABLE of a SYN that asks for MPTCP as we speak it, or ``None``.

    A version above ours is answered with ours; version 0 we do not speak (section 3.1).
    """
    capable: MpCapable | None = find(syn.options, MpCapable)
    if capable is None or capable.sender_key is not None:
        return None
    return capable if capable.version >= VERSION and usable(capable) else None


def _syn_alone(syn: Segment, config: TcpConfig) -> Segment:
    """Leave out what comes with a SYN of MPTCP, as if it had been lost.

    No mapping covers it, and only TCP Fast Open gives it a place in the stream (appendix B), so it
    must not be acknowledged: the peer sends it again after the handshake.
    """
    if find(syn.options, MptcpOption) is None:
        return syn
    opens_fast = find(syn.options, FastOpen) or not config.fast_open_cookies
    if config.fast_open and find(syn.options, MpCapable) and opens_fast:
        return syn  # TCP will look at the cookie
    return msgspec.structs.replace(syn, payload=b"", gso_size=0, flags=syn.flags & ~FIN)


class _Port:
    """An open port: decides on its SYNs (:class:`testbed.stack.tcp.extension.Acceptor`)."""

    def __init__(self, endpoint: MptcpEndpoint, options: SocketOptions) -> None:
        self._endpoint = endpoint
        self._options = options

    def accept(self, syn: Segment) -> Extension | None:
        """Decide on a SYN.  Raises Refuse."""
        return self._endpoint.accept(syn, self._options)

    def offer(self, syn: Segment) -> Sequence[Option] | None:
        """Return the options for a SYN,ACK of which nothing is kept."""
        return self._endpoint.offer(syn)

    def resume(self, ack: Segment) -> Extension | None:
        """Make the connection whose SYN was answered so.  Raises Refuse."""
        return self._endpoint.resume(ack, self._options)


class _Joins:
    """Takes the SYNs that come to ports nobody listens on: only joins get in (section 3.2)."""

    def __init__(self, endpoint: MptcpEndpoint) -> None:
        self._endpoint = endpoint

    def accept(self, syn: Segment) -> Extension:
        """Decide on a SYN.

        :raises Refuse: it is no join, or not to be let in.
        """
        join: MpJoinSyn | None = find(syn.options, MpJoinSyn)
        if join is None:
            raise Refuse("nobody listens on this port")
        flow = Flow(syn.destination, syn.source)
        return self._endpoint.accept_join(join, flow, listening=False)

    def offer(self, _syn: Segment) -> Sequence[Option] | None:
        """Answer none without keeping something: both nonces are needed."""
        return None

    def resume(self, _ack: Segment) -> Extension | None:
        """Know of none.

        :raises Refuse: always.
        """
        raise Refuse("nobody listens on this port")


def _subflow_config(plain: TcpConfig) -> TcpConfig:
    """Return what a subflow's TCP is like: some of what TCP does is the connection's business.

    :param plain: of connections without MPTCP.
    """
    return msgspec.structs.replace(plain, nagle=False, user_timeout_ns=0, notsent_lowat=0)
