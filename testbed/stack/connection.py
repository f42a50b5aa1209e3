r"""What a driver sees of every kind of endpoint and connection of this stack.

``tcp.TcpEndpoint`` and ``mptcp.MptcpEndpoint`` are :class:`Endpoint`\ s; ``tcp.TcpConnection`` and
``mptcp.MptcpConnection`` are :class:`Connection`\ s.  Drivers and applications need no more.

A driver's whole duty is::

    endpoint.receive(segment, now)        for each segment that comes in
    endpoint.handle_timer(now)            when next_timer() is reached
    endpoint.segments_to_send(now)        after anything was done,
    endpoint.next_event()                 ... and then this, in turn, until neither gives anything

Times are integers: nanoseconds of a clock that never goes back.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence
from typing import Any, Protocol

import msgspec

from testbed.packet.address import Address, Flow
from testbed.packet.icmp import IcmpError
from testbed.packet.segment import Segment
from testbed.stack.options import NO_OPTIONS, SocketOptions


class Randomness(Protocol):
    """Where random bits come from (``random.Random`` and ``secrets.SystemRandom`` are such)."""

    def getrandbits(self, k: int, /) -> int:
        """Return ``k`` random bits."""


class ErrorKind(enum.Enum):
    """Why a connection ended too early; the driver gives each the errno of the same meaning."""

    REFUSED = "connection refused"  # ECONNREFUSED
    RESET = "connection reset by peer"  # ECONNRESET
    TIMED_OUT = "connection timed out"  # ETIMEDOUT
    ABORTED = "connection aborted"  # ECONNABORTED: by this side
    UNREACHABLE = "no route to host"  # EHOSTUNREACH
    MESSAGE_SIZE = "message too long"  # EMSGSIZE
    PROTOCOL = "protocol error"  # EPROTO
    INTERNAL = "fault in the stack"  # EIO: a mistake of ours; other connections go on


class ConnectionFailure(msgspec.Struct, frozen=True):
    """An error, and what led to it in one clause.

    :param cause: of a fault in the stack, the exception.
    """

    kind: ErrorKind
    detail: str = ""
    cause: Exception | None = None

    @classmethod
    def internal(cls, error: Exception) -> ConnectionFailure:
        """Return the failure of a connection in which an exception has happened."""
        return cls(ErrorKind.INTERNAL, repr(error), error)

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.detail}" if self.detail else self.kind.value


class Event(msgspec.Struct, frozen=True):
    """Base of what a connection reports."""


class Connected(Event, frozen=True):
    """The handshake is done; on a listener's side, the connection can be accepted."""


class Readable(Event, frozen=True):
    """``read`` gives something it did not give before: octets, or the end of the stream."""


class Urgent(Event, frozen=True):
    """The peer has sent urgent data, or more of it (RFC 9293, section 3.8.5); of TCP alone."""


class Writable(Event, frozen=True):
    """After ``send`` took less than it was given: there is room again."""


class Delivered(Event, frozen=True):
    """After ``close`` of a connection that lingers: the peer has acknowledged everything."""


class ErrorReport(Event, frozen=True):
    """Something hinders delivery, and the connection goes on (RFC 9293, section 3.9.1.8).

    That is a soft ICMP error, or R1 retransmissions without an answer; of TCP alone.  Nothing has
    to be done, so a program that does not want reports ignores them.
    """

    error: ConnectionFailure


class Closed(Event, frozen=True):
    """Nothing more happens; without ``failure`` both sides have closed in order."""

    failure: ConnectionFailure | None = None


class Connection(Protocol):
    """A byte stream both ways."""

    @property
    def config(self) -> msgspec.Struct:
        """The configuration it goes by: a TcpConfig or an MptcpConfig."""

    @property
    def flow(self) -> Flow:
        """Its two ends (of MPTCP: of the first subflow)."""

    @property
    def failure(self) -> ConnectionFailure | None:
        """Why it ended too early, if it did."""

    @property
    def closed(self) -> bool:
        """Whether nothing more happens."""

    def send(self, data: bytes | memoryview, *, eor: bool = False) -> int:
        """Take octets to send and return how many there was room for.

        :param data: octets that never change; a large view is kept as it is, not copied.
        :param eor: they end a record if all of them are taken (MSG_EOR of send(2)): what is sent
            later leaves in other segments.
        :raises BrokenPipeError: the sending side is closed, or the connection is.
        """

    def read(self, limit: int) -> bytes:
        """Return the next ``limit`` octets that have arrived, or all if there are fewer."""

    @property
    def at_eof(self) -> bool:
        """Whether the peer has closed its side and all it sent has been read."""

    @property
    def unsent(self) -> int:
        """Octets taken by ``send`` that the peer has not acknowledged."""

    @property
    def delivered(self) -> bool:
        """Whether the peer has acknowledged all that was sent, and that it is all."""

    def shutdown(self) -> None:
        """Close the sending side, after what was sent."""

    def close(self) -> None:
        """Close both sides: nothing is read any more; data that still comes is answered by RST."""

    def set_options(self, options: SocketOptions) -> None:
        """Change options of this connection.

        :raises ValueError: one cannot have its value, is none of such a connection, or cannot be
            changed any more.
        """

    def abort(self) -> None:
        """End it at once, with RST."""

    def info(self) -> dict[str, Any]:
        """Return the connection's own view of itself, as JSON can hold it.

        For TCP the keys are those of TCP_INFO, for MPTCP those of MPTCP_INFO, as
        :mod:`testbed.sockinfo` names them, as far as they have a meaning here.
        """


class Listener(Protocol):
    """An open port.  The connections to it are reported with :class:`Connected`."""

    @property
    def local(self) -> Address:
        """Where it listens; the host ``0.0.0.0`` or ``::`` means any address of the family."""

    def close(self) -> None:
        """Accept no more; connections stay."""


class Endpoint(Protocol):
    """A host's transport: all its connections and open ports.

    An exception in a connection ends that connection, with RST and ``ErrorKind.INTERNAL``.  So
    ``receive``, ``receive_icmp``, ``handle_timer``, ``segments_to_send`` and ``next_event`` raise
    nothing, and each other connection gets its turn.
    """

    def connect(
        self, flow: Flow, now: int, *, data: bytes = b"", options: SocketOptions = NO_OPTIONS
    ) -> Connection:
        """Open a connection; ``Connected`` or ``Closed`` will tell how it went.

        :param data: the first octets to send, as many as ``send`` would take.  With TCP Fast Open
            (RFC 7413), and a server that is known, some or all of them leave with the SYN.
        :raises ValueError: an option cannot have its value, or is none of such connections.
        :raises OSError: EADDRINUSE, there is such a connection already.
        """

    def listen(
        self,
        local: Address,
        *,
        options: SocketOptions = NO_OPTIONS,
        accept_queue: int | None = None,
    ) -> Listener:
        """Open a port.

        :param options: connections to it begin with them.
        :param accept_queue: as the backlog of listen(2): when more connections than that wait to
            be accepted (``accepted``), a SYN and the third ACK of a handshake are dropped;
            ``None``: connections count as accepted at once.
        :raises OSError: EADDRINUSE, it is open already.
        :raises ValueError: an option cannot have its value, or is none of such connections.
        """

    def accepted(self, connection: Connection) -> None:
        """Take that the program has accepted a connection, where there is an accept queue."""

    @property
    def counters(self) -> dict[str, int]:
        """The MIB counters that are not 0, by the names of nstat(8)."""

    @property
    def flows(self) -> Collection[Flow]:
        """The flows of all connections, of MPTCP those of all subflows, be they in TIME-WAIT."""

    def uses(self, port: int) -> bool:
        """Tell whether segments to this local port belong to a connection of ours.

        It may be over for its user and still have to answer, as in TIME-WAIT.
        """

    def receive(self, segment: Segment, now: int) -> None:
        """Take a segment whose checksum is right and that is for this host."""

    def receive_icmp(self, error: IcmpError, now: int) -> None:
        """Take an ICMP error about a segment that this host has sent (RFC 5927)."""

    def handle_timer(self, now: int) -> None:
        """Do what is due."""

    def next_timer(self) -> int | None:
        """Return when ``handle_timer`` has something to do, or ``None``: never."""

    def segments_to_send(self, now: int) -> Sequence[Segment]:
        """Return all segments that can leave now, in order; the caller sends all of them.

        What has arrived and what the application has asked for is acted on here.  There are no
        others before anything else happens.
        """

    def next_event(self) -> tuple[Connection, Event] | None:
        """Return one thing that happened before the last ``segments_to_send``, or ``None``."""
