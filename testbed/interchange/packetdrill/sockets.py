"""Sockets over the stack: the effect of system calls, and whether they wait."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Collection, Iterator
from typing import Final, cast

from testbed.interchange.packetdrill.host import Host
from testbed.interchange.packetdrill.model import UnsupportedError
from testbed.interchange.packetdrill.socket_options import option, with_options
from testbed.packet.address import Address, Flow
from testbed.stack.connection import Connection, ConnectionFailure, Listener
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.connection import MptcpConnection
from testbed.stack.mptcp.drain import FastClosed
from testbed.stack.options import NO_OPTIONS
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.state import HANDSHAKE, RECEIVING, State
from testbed.streams.transport import error_of

_PEER_CLOSED: Final = frozenset({State.CLOSE_WAIT, State.CLOSING, State.LAST_ACK})
PORT: Final = 8080  # the port of servers in packetdrill, ours or the script's


class WouldBlock(Exception):  # noqa: N818 - no error: a call that waits
    """A call has to wait."""


class Socket:
    """A stream socket.

    Each call returns immediately, raises :class:`WouldBlock` if it would wait, or raises
    ``OSError``.

    :param mptcp: whether the protocol is IPPROTO_MPTCP.
    :ivar nonblocking: whether O_NONBLOCK is set.
    :ivar options: the numbers that ``setsockopt`` has set, by the option's name.
    :ivar cookie_keys: the keys of TCP_FASTOPEN_KEY.
    """

    def __init__(self, host: Host, *, mptcp: bool, nonblocking: bool) -> None:
        self.nonblocking = nonblocking
        self.options: dict[str, int] = {}
        self.cookie_keys: tuple[bytes, ...] = ()
        self._host = host
        self._mptcp = mptcp
        self._given = NO_OPTIONS
        self._local: Address | None = None
        self._listener: Listener | None = None
        self._connection: Connection | None = None
        self._reported = False  # whether the error of the connection was reported
        self._deferred: tuple[MptcpConfig, Flow] | None = None  # the first write opens it

    def block(self, *, not_at_all: bool) -> None:
        """Set whether calls wait or return immediately (O_NONBLOCK)."""
        self.nonblocking = not_at_all

    def set_option(self, name: str, value: int) -> None:
        """Set an option, before or after the connection has started.

        :raises UnsupportedError: the stack does not support the option on this socket.
        """
        changed = option(name, value)
        try:
            changed.check()
            if self._connection is None:
                self._given = self._given.changed_by(changed)
            else:
                self._connection.set_options(changed)
        except ValueError as error:
            raise UnsupportedError(f"{name}: {error}") from error
        self.options[name] = value
        self._host.settle()

    def configured(self, config: MptcpConfig) -> MptcpConfig:
        """Return the configuration of its connections."""
        return with_options(config, self.options, self.cookie_keys)

    # Opening

    def bind(self, local: Address) -> None:
        """Choose the local address."""
        self._local = local

    def listen(self, config: MptcpConfig, local: Address) -> None:
        """Open a port."""
        if self._listener is not None:  # options have changed
            self._listener.close()
        at, given = self._local or local, self._given
        with _known_options():
            self._listener = self._host.listen(config, at, given, mptcp=self._mptcp)

    @property
    def listens(self) -> bool:
        """Whether the socket is an open port."""
        return self._listener is not None

    def connect(self, config: MptcpConfig, local: str, remote: Address) -> None:
        """Open a connection, or continue to wait for it."""
        if self._connection is None:
            flow, data = self._flow(local, remote), None
            if self.options.get("TCP_FASTOPEN_CONNECT"):
                if self._host.early_limit(config, flow, self._given):
                    self._deferred = config, flow
                    return
                data = b""
            self._begin(config, flow, data)
            if self.nonblocking:
                raise OSError(errno.EINPROGRESS, "")
        self._raise_failure()
        if self._opening:
            if self.nonblocking:
                raise OSError(errno.EALREADY, "")
            raise WouldBlock

    def _open_by_data(self, config: MptcpConfig, flow: Flow, octets: int, *, wait: bool) -> int:
        """Open a connection by data, and return how many octets SYN carries.

        Without a cookie of TCP Fast Open, SYN requests a cookie and carries no data.
        """
        data = bytes(min(octets, self._host.early_limit(config, flow, self._given)))
        self._begin(config, flow, data)
        if wait:
            raise _Partly(len(data))
        if not data:
            raise OSError(errno.EINPROGRESS, "")
        return len(data)

    def send_fast(
        self, config: MptcpConfig, local: str, remote: Address, octets: int, *, wait: bool
    ) -> int:
        """Open a connection by data (MSG_FASTOPEN)."""
        wait = wait and not self.nonblocking
        return self._open_by_data(config, self._flow(local, remote), octets, wait=wait)

    def _begin(self, config: MptcpConfig, flow: Flow, data: bytes | None) -> None:
        given, mptcp = self._given, self._mptcp
        with _known_options():
            self._connection = self._host.connect(config, flow, given, mptcp=mptcp, data=data)

    def _flow(self, local: str, remote: Address) -> Flow:
        return Flow(self._local or Address(local, self._host.port()), remote)

    def accept(self) -> Socket:
        """Return the socket of the next connection."""
        if self._listener is None:
            raise OSError(errno.EINVAL, "")
        waiting = self._host.accepted(self._listener.local.port)
        if not waiting:
            self._wait()
        accepted = Socket(self._host, mptcp=self._mptcp, nonblocking=False)
        accepted._connection = connection = waiting.popleft()
        accepted.options.update(self.options)
        if isinstance(connection, MptcpConnection) and not connection.subflows:
            connection.abort()  # as in Linux, which lets no join replace its subflow before
            self._host.settle()
        return accepted

    # Data

    def read(self, limit: int, flags: Collection[str] = ()) -> int:
        """Read, and return the number of octets.

        :param flags: MSG_PEEK leaves them; MSG_WAITALL waits until all can be read.
        """
        connection = self._connected()
        if not limit:
            return 0
        ready = min(readable(connection), limit)
        waits = "MSG_WAITALL" in flags and not (self.nonblocking or "MSG_DONTWAIT" in flags)
        if waits and ready < limit and not _complete(connection):
            raise WouldBlock
        octets = ready if "MSG_PEEK" in flags else len(connection.read(limit))
        self._host.settle()
        if octets or connection.at_eof:
            return octets
        self._raise_failure()
        if connection.closed:
            if isinstance(connection, MptcpConnection) and connection.failure is not None:
                raise OSError(errno.ENOTCONN, "")
            return 0
        return self._wait()

    def write(self, octets: int, taken: int = 0, *, eor: bool = False) -> int:
        """Write zeros, and return how many octets were taken, including ``taken`` earlier ones.

        :param eor: whether the last octet ends a record (MSG_EOR).
        """
        if self._deferred is not None:
            (config, flow), self._deferred = self._deferred, None
            return self._open_by_data(config, flow, octets, wait=not self.nonblocking)
        connection = self._connected()
        self._raise_failure()
        if self.dialing:
            if self.nonblocking:
                raise OSError(errno.EAGAIN, "")
            raise _Partly(taken)
        try:
            taken += connection.send(bytes(octets - taken), eor=eor)
        except BrokenPipeError as error:
            raise OSError(errno.EPIPE, "") from error
        self._host.settle()
        if taken == octets or (taken and self.nonblocking):
            return taken
        if self.nonblocking:
            raise OSError(errno.EAGAIN, "")
        raise _Partly(taken)

    def write_urgent(self, octets: int) -> int:
        """Write octets. The last ones are urgent."""
        connection = self._connected()
        if not isinstance(connection, TcpConnection):
            raise UnsupportedError("urgent data in MPTCP")
        taken = connection.send_urgent(bytes(octets))
        self._host.settle()
        return taken

    def shutdown(self) -> None:
        """Close the sending side."""
        self._connected().shutdown()
        self._host.settle()

    def close(self) -> None:
        """Close the socket, with RST if the linger time is 0. Abort unaccepted connections."""
        if self._listener is not None:
            self._listener.close()
            waiting = self._host.accepted(self._listener.local.port)
            while waiting:
                waiting.popleft().abort()
        if self._connection is not None:
            self._connection.close()
        self._host.settle()

    # Status.

    @property
    def connection(self) -> Connection | None:
        """The connection, if it exists."""
        return self._connection

    @property
    def dialing(self) -> bool:
        """Whether the connection waits for an answer to its SYN."""
        connection = self._connection
        if isinstance(connection, MptcpConnection):
            return connection.initiator and self._opening
        return connection is not None and cast("TcpConnection", connection).state is State.SYN_SENT

    def take_error(self) -> int:
        """Return the error number of the connection, once (SO_ERROR)."""
        error = self._error
        if error is None:
            return 0
        self._reported = True
        return error_of(error).errno or 0

    @property
    def speaks_mptcp(self) -> bool:
        """Whether the socket is an MPTCP socket without a fallback to TCP (TCP_IS_MPTCP)."""
        connection = self._connection
        if connection is None:
            return self._mptcp
        return isinstance(connection, MptcpConnection) and not connection.fallback

    def ready(self) -> set[str]:
        """Return the present events of poll(2)."""
        if self._listener is not None:
            return {"POLLIN"} if self._host.accepted(self._listener.local.port) else set()
        connection = self._connection
        if connection is None:
            return {"POLLOUT", "POLLHUP"}
        if self._opening and not connection.closed:
            return set()
        found = {"POLLOUT"}
        if connection.closed:
            found |= {"POLLIN", "POLLHUP", "POLLRDHUP"}
        if self._error is not None:
            found.add("POLLERR")
        if connection.at_eof or readable(connection):
            found.add("POLLIN")
        if connection.at_eof or self._half_closed:
            found.add("POLLRDHUP")
        return found

    @property
    def _error(self) -> ConnectionFailure | None:
        """The error of the connection, unless it was reported.

        As in Linux, the loss of all subflows is no error of an MPTCP connection.
        """
        connection = self._connection
        failure = None if connection is None or self._reported else connection.failure
        if isinstance(connection, MptcpConnection) and failure is not None:
            opened = connection.keys.remote is not None and not connection.fallback
            if opened and not isinstance(failure, FastClosed):
                return None
        return failure

    @property
    def _half_closed(self) -> bool:
        """Whether the peer has closed its side, although data may be unread."""
        connection = self._connection
        return isinstance(connection, TcpConnection) and connection.state in _PEER_CLOSED

    @property
    def _opening(self) -> bool:
        connection = self._connection
        if isinstance(connection, MptcpConnection):
            return connection.state.name == "OPENING"
        return cast("TcpConnection", connection).state in HANDSHAKE

    def _connected(self) -> Connection:
        if self._connection is None:
            raise OSError(errno.ENOTCONN, "")
        return self._connection

    def _raise_failure(self) -> None:
        number = self.take_error()
        if number:
            raise OSError(number, "")

    def _wait(self) -> int:
        if self.nonblocking:
            raise OSError(errno.EAGAIN, "")
        raise WouldBlock


class _Partly(WouldBlock):
    """A write that waits for space for the rest."""

    def __init__(self, taken: int) -> None:
        super().__init__(taken)
        self.taken = taken


@contextlib.contextmanager
def _known_options() -> Iterator[None]:
    """Report an option that the stack does not support."""
    try:
        yield
    except ValueError as error:
        raise UnsupportedError(str(error)) from error


def taken_before(error: WouldBlock) -> int:
    """Return how many octets a waiting write has taken."""
    return error.taken if isinstance(error, _Partly) else 0


def readable(connection: Connection) -> int:
    """Return the number of readable octets."""
    if isinstance(connection, MptcpConnection):
        return connection.incoming.readable
    return cast("TcpConnection", connection).readable


def _complete(connection: Connection) -> bool:
    """Return whether no more data can arrive."""
    if isinstance(connection, MptcpConnection):
        return connection.closed or connection.incoming.finished
    return cast("TcpConnection", connection).state not in RECEIVING
