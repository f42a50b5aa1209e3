r"""The interface of endpoints and connections for drivers and applications.

``tcp.TcpEndpoint`` and ``mptcp.MptcpEndpoint`` are :class:`Endpoint`\ s; ``tcp.TcpConnection`` and
``mptcp.MptcpConnection`` are :class:`Connection`\ s. Drivers and applications need only these.

A driver does only this::

    endpoint.receive(segment, now)        for each segment that comes in
    endpoint.handle_timer(now)            when next_timer() is reached
    endpoint.segments_to_send(now)        after anything was done,
    endpoint.next_event()                 ... and then this, in turn, until neither gives anything

Times are integers: nanoseconds of a monotonic clock.
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
    """A source of random bits, such as ``random.Random`` or ``secrets.SystemRandom``."""

    def getrandbits(self, k: int, /) -> int:
        """Return ``k`` random bits."""


class ErrorKind(enum.Enum):
    """Why a connection failed. The driver maps each kind to an errno."""

    REFUSED = "connection refused"  # ECONNREFUSED
    RESET = "connection reset by peer"  # ECONNRESET
    TIMED_OUT = "connection timed out"  # ETIMEDOUT
    ABORTED = "connection aborted"  # ECONNABORTED: by this side
    UNREACHABLE = "no route to host"  # EHOSTUNREACH
    MESSAGE_SIZE = "message too long"  # EMSGSIZE
    PROTOCOL = "protocol error"  # EPROTO
    INTERNAL = "fault in the stack"  # EIO: a fault of this stack; other connections continue


class ConnectionFailure(msgspec.Struct, frozen=True):
    """An error and its reason in one clause.

    :param cause: the exception, if a fault in the stack is the reason.
    """

    kind: ErrorKind
    detail: str = ""
    cause: Exception | None = None

    @classmethod
    def internal(cls, error: Exception) -> ConnectionFailure:
        """Return the failure for an exception in a connection."""
        return cls(ErrorKind.INTERNAL, repr(error), error)

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.detail}" if self.detail else self.kind.value


class Event(msgspec.Struct, frozen=True):
    """The base class of the events of a connection."""


class Connected(Event, frozen=True):
    """The handshake is complete. On the passive side, the connection can be accepted."""


class Readable(Event, frozen=True):
    """``read`` has something new: octets or the end of the stream."""


class Urgent(Event, frozen=True):
    """The peer has sent new urgent data (RFC 9293, section 3.8.5); only for TCP."""


class Writable(Event, frozen=True):
    """There is room to write, after ``send`` took less than it was given."""


class Delivered(Event, frozen=True):
    """The peer has acknowledged everything, after ``close`` of a connection with ``linger``."""


class ErrorReport(Event, frozen=True):
    """Delivery has a problem, and the connection continues (RFC 9293, section 3.9.1.8).

    The problem is a soft ICMP error, or R1 retransmissions without an answer. Only TCP reports it.
    Programs may ignore it.
    """

    error: ConnectionFailure


class Closed(Event, frozen=True):
    """The connection has ended. Without ``failure`` both sides have closed it in order."""

    failure: ConnectionFailure | None = None


class Connection(Protocol):
    """A byte stream in both directions."""

    @property
    def config(self) -> msgspec.Struct:
        """Its configuration: a TcpConfig or an MptcpConfig."""

    @property
    def flow(self) -> Flow:
        """Its two ends; for MPTCP those of the first subflow."""

    @property
    def failure(self) -> ConnectionFailure | None:
        """Why it failed, or ``None``."""

    @property
    def closed(self) -> bool:
        """Whether it has ended."""

    def send(self, data: bytes | memoryview, *, eor: bool = False) -> int:
        """Queue octets to send, and return how many the buffer took.

        :param data: octets that must not change: a large view is kept without a copy.
        :param eor: whether a record ends after them, if all are taken (MSG_EOR of send(2)). Later
            data goes into other segments.
        :raises BrokenPipeError: the sending side or the connection is closed.
        """

    def read(self, limit: int) -> bytes:
        """Return at most ``limit`` octets that have arrived in order."""

    @property
    def at_eof(self) -> bool:
        """Whether the peer has closed its side and all its data was read."""

    @property
    def unsent(self) -> int:
        """How many octets of ``send`` the peer has not acknowledged."""

    @property
    def delivered(self) -> bool:
        """Whether the peer has acknowledged all data and its end."""

    def shutdown(self) -> None:
        """Close the sending side after the queued data."""

    def close(self) -> None:
        """Close both directions. Data that still arrives is answered by RST."""

    def set_options(self, options: SocketOptions) -> None:
        """Change options of this connection.

        :raises ValueError: an option has a value that is not allowed, does not exist for this kind
            of connection, or can no longer be changed.
        """

    def abort(self) -> None:
        """Reset the connection."""

    def info(self) -> dict[str, Any]:
        """Return a description of the connection that JSON can represent.

        The keys are fields of TCP_INFO or MPTCP_INFO, with the names of :mod:`testbed.sockinfo`, as
        far as this stack has them.
        """


class Listener(Protocol):
    """An open port. :class:`Connected` reports its connections."""

    @property
    def local(self) -> Address:
        """The local address. The host ``0.0.0.0`` or ``::`` means any address of the family."""

    def close(self) -> None:
        """Stop accepting connections. Existing ones stay."""


class Endpoint(Protocol):
    """The transport protocol of a host: all connections and open ports.

    An exception in a connection ends that connection, with RST and ``ErrorKind.INTERNAL``. So
    ``receive``, ``receive_icmp``, ``handle_timer``, ``segments_to_send`` and ``next_event`` raise
    nothing, and the other connections are not affected.
    """

    def connect(
        self, flow: Flow, now: int, *, data: bytes = b"", options: SocketOptions = NO_OPTIONS
    ) -> Connection:
        """Open a connection. ``Connected`` or ``Closed`` reports the result.

        :param data: the first octets to send, at most as many as ``send`` would take. With TCP Fast
            Open (RFC 7413) and a known server, some or all of them leave with the SYN.
        :raises ValueError: an option has a value that is not allowed, or does not exist for this
            kind of connection.
        :raises OSError: EADDRINUSE if the connection exists already.
        """

    def listen(
        self,
        local: Address,
        *,
        options: SocketOptions = NO_OPTIONS,
        accept_queue: int | None = None,
    ) -> Listener:
        """Open a port.

        :param options: the options of new connections.
        :param accept_queue: the backlog of listen(2): when more connections than that wait to be
            accepted (``accepted``), a SYN and the third ACK of a handshake are dropped. ``None``
            accepts connections at once.
        :raises OSError: EADDRINUSE if the port is open already.
        :raises ValueError: an option has a value that is not allowed, or does not exist for this
            kind of connection.
        """

    def accepted(self, connection: Connection) -> None:
        """Record that the program has accepted a connection from the accept queue."""

    @property
    def counters(self) -> dict[str, int]:
        """The MIB counters that are not 0, with the names of nstat(8)."""

    @property
    def flows(self) -> Collection[Flow]:
        """The flows of all connections, or subflows of MPTCP, including TIME-WAIT."""

    def uses(self, port: int) -> bool:
        """Return whether segments to this local port belong to a connection of this endpoint.

        The connection may have ended for its user and still answer, as in TIME-WAIT.
        """

    def receive(self, segment: Segment, now: int) -> None:
        """Process a segment for this host. Its checksum was verified."""

    def receive_icmp(self, error: IcmpError, now: int) -> None:
        """Process an ICMP error about a segment of this host (RFC 5927)."""

    def handle_timer(self, now: int) -> None:
        """Handle the expired timers."""

    def next_timer(self) -> int | None:
        """Return the time at which ``handle_timer`` is due, or ``None``."""

    def segments_to_send(self, now: int) -> Sequence[Segment]:
        """Return all segments to send now, in order. The caller must send all of them.

        This method acts on received segments and on calls of the application. There are no others
        before anything else happens.
        """

    def next_event(self) -> tuple[Connection, Event] | None:
        """Return the next event from before the last ``segments_to_send``, or ``None``."""
