"""The open ports of a host, and segments that belong to no connection (LISTEN).

This includes half-open connections, SYN cookies (RFC 4987), the cookies of TCP Fast Open (RFC 7413)
and accept queues.
"""

from __future__ import annotations

import contextlib
import errno
from typing import Final, Protocol

import msgspec

from testbed.packet.address import Address, Flow, is_unicast
from testbed.packet.options import FastOpen, Option, find
from testbed.packet.segment import ACK, FIN, RST, SYN, Segment
from testbed.packet.sequence import BITS_32
from testbed.stack.connection import Closed, Connected, ErrorKind, Event
from testbed.stack.options import NO_OPTIONS, SocketOptions
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.cookies import VALID_NS, SynCookies
from testbed.stack.tcp.extension import Acceptor, Extension, Refuse
from testbed.stack.tcp.fast_open import Early, Grants, Verdict
from testbed.stack.tcp.input import listen_accept
from testbed.stack.tcp.isn import initial_sequence_number, timestamp_offset
from testbed.stack.tcp.listener import DEFAULT_BACKLOG, TcpListener
from testbed.stack.tcp.segment_size import advertised_mss
from testbed.stack.tcp.state import State
from testbed.stack.tcp.timestamps import Timestamping
from testbed.trace import Tracer

_ANY_IPV4: Final = "0.0.0.0"  # noqa: S104 - the name of the address, nothing is bound
_ANY_IPV6: Final = "::"


class Host(Protocol):
    """The services of the endpoint that open ports need."""

    def begin(
        self, flow: Flow, isn: int, extension: Extension | None, options: SocketOptions, now: int
    ) -> TcpConnection:
        """Create a connection for a SYN."""

    def deliver(self, connection: TcpConnection, segment: Segment, now: int) -> None:
        """Pass a segment to a connection."""

    def answer(self, segment: Segment) -> None:
        """Send a segment that belongs to no connection."""

    def crash(self, connection: TcpConnection, error: Exception) -> None:
        """End a connection after an exception in it."""

    def count(self, name: str) -> None:
        """Increment a MIB counter."""


class OpenPorts:
    """The open ports of one endpoint.

    :param secret: the key of SYN cookies and of TCP Fast Open cookies.
    :param stray: accepts or refuses SYNs to ports without a listener. Without it they are refused.
    :ivar early: the connections in the handshake that started with data on SYN, and their ports.
    """

    def __init__(
        self,
        host: Host,
        config: TcpConfig,
        secret: bytes,
        stray: Acceptor | None,
        tracer: Tracer,
    ) -> None:
        self.early: dict[TcpConnection, TcpListener] = {}
        self._host = host
        self._config = config
        self._secret = secret
        self._tracer = tracer
        self._cookies = SynCookies(config, secret)
        self._grants = Grants(*(config.fast_open_keys or (secret,)))
        self._stray = TcpListener(Address(_ANY_IPV4, 0), stray, DEFAULT_BACKLOG, {})
        self._listeners: dict[Address, TcpListener] = {}
        self._handshakes: dict[TcpConnection, TcpListener] = {}  # half-open connections
        # Connections in accept queues; several may have had the same flow in turn.
        self._unaccepted: dict[Flow, list[TcpListener]] = {}

    def open(
        self,
        local: Address,
        acceptor: Acceptor | None,
        backlog: int,
        options: SocketOptions = NO_OPTIONS,
        accept_queue: int | None = None,
    ) -> TcpListener:
        """Open a port; see :meth:`testbed.stack.tcp.endpoint.TcpEndpoint.listen`.

        :raises OSError: EADDRINUSE if the port is open already.
        """
        if local in self._listeners:
            raise OSError(errno.EADDRINUSE, f"{local} is open already")
        listener = TcpListener(local, acceptor, backlog, self._listeners, options, accept_queue)
        self._listeners[local] = listener
        return listener

    def find(self, local: Address) -> TcpListener | None:
        """Return the open port for a local address."""
        found = self._listeners.get(local)
        if found is None:
            any_host = _ANY_IPV6 if ":" in local.host else _ANY_IPV4
            found = self._listeners.get(Address(any_host, local.port))
        return found

    def accepted(self, flow: Flow) -> None:
        """Record an accepted connection, which frees a place in the accept queue."""
        listeners = self._unaccepted.get(flow)
        if listeners is not None:
            listeners.pop(0).accepted()
            if not listeners:
                del self._unaccepted[flow]

    def rotate_fast_open_key(self, secret: bytes) -> None:
        """Change the key of TCP Fast Open cookies. Those of the previous key stay valid."""
        self._grants.rotate(secret)

    # Segments

    def receive(self, segment: Segment, flow: Flow, now: int, isn: int | None = None) -> None:
        """Process a segment that belongs to no connection (RFC 9293, 3.10.7.1 and 3.10.7.2).

        :param isn: the initial sequence number to use; ``None`` for one of RFC 6528.
        """
        listener = self.find(segment.destination)
        flags = segment.flags
        if flags & RST or not (is_unicast(flow.local.host) and is_unicast(flow.remote.host)):
            return  # MUST-57 and MUST-63 forbid an answer
        if listener is None and self._stray.acceptor is not None:
            listener = self._stray
        if listener is None:
            self.refuse(segment)
            return
        try:
            if flags & ACK:
                self._resume(listener, segment, flow, now)
            elif flags & SYN and listener.full:
                self._host.count("TcpExtListenOverflows")
                self._host.count("TcpExtListenDrops")
            elif flags & SYN and listener.has_place:
                self._admit(listener, segment, flow, isn, now)
            elif flags & SYN:
                self._answer_with_cookie(listener, segment, flow, now)
        except Refuse as refusal:
            self.refuse(segment, tuple(refusal.options))
        except Exception as error:  # an exception of the acceptor: there is no connection to end
            self.refuse(segment)
            with contextlib.suppress(Exception):
                self._tracer.event("fault", now, {"error": repr(error)})

    def overflows(self, connection: TcpConnection, segment: Segment) -> bool:
        """Return whether the accept queue is full. As in Linux, a third ACK is then dropped."""
        listener = self._handshakes.get(connection)
        if listener is None or not listener.full or segment.flags & (SYN | RST):
            return False
        self._host.count("TcpExtListenOverflows")
        return True

    def refuse(self, segment: Segment, options: tuple[Option, ...] = ()) -> None:
        """Answer a segment without a connection by RST (RFC 9293, section 3.10.7.1)."""
        if segment.flags & RST:
            return
        if segment.flags & ACK:
            flags, seq, ack = RST, segment.ack, 0
        else:
            flags, seq, ack = RST | ACK, 0, (segment.seq + segment.length) & BITS_32
        self._host.count("TcpOutRsts")
        self._host.answer(
            Segment(
                source=segment.destination,
                destination=segment.source,
                seq=seq,
                ack=ack,
                flags=flags,
                options=options,
            )
        )

    # The end of handshakes

    def tells(self, connection: TcpConnection, event: Event) -> bool:
        """Record that a connection is established or closed; return whether to report it.

        For a connection that is not accepted yet, it is informed of the establishment and of
        faults.
        """
        listener = self._handshakes.pop(connection, None)
        if listener is None:
            return True
        listener.release()
        if isinstance(event, Connected):
            self._host.count("TcpPassiveOpens")
            if listener.enqueue():
                self._unaccepted.setdefault(connection.flow, []).append(listener)
        return not isinstance(event, Closed) or _faulty(event)

    def release_early(self, connection: TcpConnection, now: int) -> None:
        """Record the end of the handshake of a connection with data on SYN."""
        if connection.state is not State.SYN_RECEIVED and connection in self.early:
            failure = connection.failure
            reset = failure is not None and failure.kind is ErrorKind.RESET
            self.early.pop(connection).release_early(now if reset else None)

    def forget(self, connection: TcpConnection) -> None:
        """Forget a connection that has ended."""
        if self.early and (listener := self.early.pop(connection, None)) is not None:
            listener.release_early(None)

    # Answers to a SYN

    def _admit(
        self, listener: TcpListener, syn: Segment, flow: Flow, isn: int | None, now: int
    ) -> None:
        """Accept a SYN for which there is a place; its data only with a valid cookie."""
        acceptor = listener.acceptor
        early = None
        if self._config.fast_open and listener is not self._stray:
            early = self._judge(listener, syn, flow, now)
            if early is not None and not early.accepted:
                syn = msgspec.structs.replace(syn, payload=b"", gso_size=0, flags=syn.flags & ~FIN)
        extension = acceptor.accept(syn) if acceptor is not None else None
        if isn is None:
            isn = initial_sequence_number(flow, self._secret, now)
        self._begin(listener, syn, flow, isn, extension, now, early)

    def _judge(self, listener: TcpListener, syn: Segment, flow: Flow, now: int) -> Early | None:
        """Return the reaction to the TCP Fast Open option of a SYN (RFC 7413, section 4.2.2)."""
        config = self._config
        option: FastOpen | None = find(syn.options, FastOpen)
        trusting = bool(syn.payload) and not config.fast_open_cookies
        if option is None and not trusting:
            return None
        asks = bool(syn.payload) or (option is not None and bool(option.cookie))
        admitted = asks and listener.admits_early(config.fast_open_pending, now)
        if asks and not admitted:
            self._host.count("TcpExtTCPFastOpenListenOverflow")
        if option is None or trusting:
            return Early(None, accepted=admitted, data=True)
        verdict = self._grants.judge(flow, option)
        if not option.cookie:
            self._host.count("TcpExtTCPFastOpenCookieReqd")
        elif verdict is Verdict.WRONG:
            self._host.count("TcpExtTCPFastOpenPassiveFail")
        return Early(
            None if verdict is Verdict.CURRENT else self._grants.grant(flow),
            accepted=admitted and verdict is not Verdict.WRONG,
            data=bool(syn.payload),
        )

    def _begin(
        self,
        listener: TcpListener,
        syn: Segment,
        flow: Flow,
        isn: int,
        extension: Extension | None,
        now: int,
        early: Early | None = None,
    ) -> TcpConnection:
        """Create the connection for a SYN."""
        connection = self._host.begin(flow, isn, extension, listener.options, now)
        listener.hold()
        self._handshakes[connection] = listener
        if early is not None and early.accepted:
            listener.hold_early()
            self._host.count("TcpExtTCPFastOpenPassive")
            self.early[connection] = listener
        try:
            listen_accept(connection, syn, early, now)
        except Exception as error:
            self._host.crash(connection, error)
        return connection

    def _answer_with_cookie(
        self, listener: TcpListener, syn: Segment, flow: Flow, now: int
    ) -> None:
        """Answer a SYN by a cookie while the backlog is full (RFC 4987, 3.6)."""
        listener.overflow(now)
        if not self._config.syn_cookies or listener is self._stray:
            return
        number = self._cookies.number(flow, syn, now)
        extra = listener.acceptor.offer(syn) if listener.acceptor is not None else ()
        if number is None or extra is None:
            return
        clock = Timestamping(timestamp_offset(flow, self._secret), offered=True).value(now)
        config = self._config.with_options(listener.options)
        options = self._cookies.options(syn, clock, advertised_mss(flow, config), config)
        self._host.count("TcpExtTCPReqQFullDoCookies")
        self._host.count("TcpExtSyncookiesSent")
        self._host.answer(self._cookies.answer(syn, number, (*options, *extra), config))

    def _resume(self, listener: TcpListener, ack: Segment, flow: Flow, now: int) -> None:
        """Create the connection for an ACK with a valid cookie."""
        syn = None
        if not ack.flags & SYN and listener.overflowed(now, VALID_NS):
            syn = self._cookies.restore(flow, ack, now)
            self._host.count("TcpExtSyncookiesFailed" if syn is None else "TcpExtSyncookiesRecv")
        if syn is None:
            self.refuse(ack)
            return
        if listener.full:
            self._host.count("TcpExtListenOverflows")
            return
        acceptor = listener.acceptor
        extension = acceptor.resume(ack) if acceptor is not None else None
        connection = self._begin(listener, syn, flow, (ack.ack - 1) & BITS_32, extension, now)
        connection.sender.syn_was_sent()
        self._host.deliver(connection, ack, now)


def _faulty(event: Closed) -> bool:
    return event.failure is not None and event.failure.cause is not None
