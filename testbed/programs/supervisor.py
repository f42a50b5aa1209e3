"""Answers the system calls about TCP sockets of programs with the userspace stack."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import struct
from collections.abc import Callable
from typing import Final, Protocol

from testbed import sockinfo
from testbed.host.driver import Host
from testbed.packet.address import Address
from testbed.programs import addresses, calls, options
from testbed.programs.connecting import LATER, Connector
from testbed.programs.listening import Acceptor
from testbed.programs.options import Options
from testbed.programs.relay import Edges, Relay, unread
from testbed.programs.seccomp import Listener, Notification
from testbed.programs.sockets import SHUT, Phase, Socket, Table, inode_of, unix_socket
from testbed.programs.target import Call, GoneError, find_socket
from testbed.programs.telling import told
from testbed.stack.connection import Connection, Endpoint
from testbed.stack.mptcp.endpoint import MptcpEndpoint
from testbed.stack.tcp.endpoint import TcpEndpoint

_SWEEP_S: Final = 0.25  # interval of the search for sockets that no program has any more
_INT: Final = struct.Struct("=i")
_MOST: Final = 1 << 16  # maximum octets of an option or an address
_AT_ONCE: Final = 64  # maximum calls before the stack runs again


class Observer(Protocol):
    """An observer of connections."""

    def closing(self, connection: Connection) -> None:
        """Handle that a program has closed a connection, or that the connection has failed."""


class Proceed(Exception):  # noqa: N818 - it is no error
    """The kernel is to execute the call: its socket is not in the table."""


class Supervisor:
    """Answers the notifications of a listener, as long as it is open.

    Create it while an event loop runs, and close it at the end.
    """

    def __init__(self, listener: Listener, host: Host, observer: Observer) -> None:
        self._listener = listener
        self._host = host
        self._mptcp, self._congestion = _spoken(host.endpoint)
        self._observer = observer
        self._machine = calls.machine(os.uname().machine)
        self._names = {number: name for name, number in self._machine.numbers.items()}
        self._table = Table(_HostPorts(host))
        self._edges = Edges()
        self._connector = Connector(
            host, listener, self._table, self._edges, self._hung_up, self._failed
        )
        self._acceptor = Acceptor(
            host,
            listener,
            self._table,
            self._edges,
            self._tell_peer,
            self._accepted_hung_up,
            self._accepted_failed,
        )
        self._calls: dict[str, Callable[[Call, Socket], int | None]] = {
            "connect": self._connect,
            "bind": self._bind,
            "listen": self._listen,
            "accept": self._acceptor.accept,
            "accept4": self._acceptor.accept,
            "getsockname": self._getsockname,
            "getpeername": self._getpeername,
            "setsockopt": self._setsockopt,
            "getsockopt": self._getsockopt,
            "shutdown": self._shutdown,
            **dict.fromkeys(calls.FLAGS, self._special),
        }
        self._abandoned = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(listener, self._ready)
        self._sweeping = loop.call_later(_SWEEP_S, self._sweep)

    async def finished(self) -> None:
        """Wait until no program is left, and the stack has taken all their data."""
        await self._abandoned.wait()
        await self._edges.idle()

    def close(self) -> None:
        """Stop answering. Calls wait until their programs are killed."""
        asyncio.get_running_loop().remove_reader(self._listener)
        self._sweeping.cancel()
        self._connector.close()
        for sock in self._table:
            self._remove(sock)
        self._edges.close()

    def _ready(self) -> None:
        for _ in range(_AT_ONCE):
            if not self._listener.pending:
                if self._listener.abandoned:
                    asyncio.get_running_loop().remove_reader(self._listener)
                    self._abandoned.set()
                return
            notification = self._listener.receive()
            if notification is not None:
                self._take(notification)

    def _take(self, notification: Notification) -> None:
        call = Call(self._listener, notification, self._names[notification.number])
        try:
            self._answer(call, self._carry_out(call))
        except Proceed:
            self._listener.proceed(call.id)
        except Exception as error:
            self._refuse(call, error)

    def _carry_out(self, call: Call) -> int | None:
        if call.name == "socket":
            self._socket(call)
            return LATER  # the call is answered already
        sock = self._table.find(call.inode())
        if sock is None:
            raise Proceed
        sock.used_by(call.pid, call.fd)
        return self._calls[call.name](call, sock)

    def _answer(self, call: Call, value: int | None) -> None:
        if value is not LATER:
            self._listener.answer(call.id, value)

    def _refuse(self, call: Call, error: Exception) -> None:
        if isinstance(error, GoneError):
            return
        if not isinstance(error, OSError):
            asyncio.get_running_loop().call_exception_handler(
                {
                    "message": f"{call.name}() of {call.pid} could not be answered",
                    "exception": error,
                }
            )
        self._listener.fail(call.id, getattr(error, "errno", None) or errno.EIO)

    # One method for each call. It returns the value of the call, or LATER.

    def _socket(self, call: Call) -> None:
        family, kind, protocol = (call.signed(index) for index in range(3))
        if protocol not in (0, socket.IPPROTO_TCP, sockinfo.IPPROTO_MPTCP) or not call.is_ours():
            raise Proceed
        if protocol == sockinfo.IPPROTO_MPTCP and not self._mptcp:
            raise _error(errno.EPROTONOSUPPORT)
        with unix_socket() as end:
            end.setblocking(not kind & socket.SOCK_NONBLOCK)
            made = Socket(inode_of(end), family, protocol or socket.IPPROTO_TCP, Options())
            self._table.add(made)
            cloexec = bool(kind & socket.SOCK_CLOEXEC)
            try:
                given = self._listener.give(call.id, end.fileno(), cloexec=cloexec)
            except OSError:
                self._table.remove(made)
                raise
            if not given:
                self._table.remove(made)

    def _connect(self, call: Call, sock: Socket) -> int | None:
        data = self._given(call)
        if addresses.is_unspecified(data):
            self._acceptor.close(sock)
            return self._connector.disconnect(call, sock)
        return self._connector.connect(call, sock, addresses.decode(data, sock.family))

    def _bind(self, call: Call, sock: Socket) -> int:
        address = self._address(call, sock)
        if sock.phase is not Phase.NEW or sock.local is not None:
            raise _error(errno.EINVAL)
        try:
            self._table.bind(sock, address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not self._remove_closed():
                raise
            self._table.bind(sock, address)
        sock.keep_address()
        return 0

    def _listen(self, call: Call, sock: Socket) -> int:
        return self._acceptor.listen(call, sock, call.signed(1))

    def _getsockname(self, call: Call, sock: Socket) -> int:
        self._tell(call, sock.name, sock.family)
        return 0

    def _getpeername(self, call: Call, sock: Socket) -> int:
        if sock.phase is not Phase.CONNECTED or sock.remote is None:
            raise _error(errno.ENOTCONN)
        self._tell(call, sock.remote, sock.family)
        return 0

    def _setsockopt(self, call: Call, sock: Socket) -> int:
        key, size = (call.signed(1), call.signed(2)), call.signed(4)
        if options.is_native(key):
            raise Proceed
        if not 0 <= size <= _MOST:
            raise _error(errno.EINVAL)
        if not sock.has_level(key[0]):
            raise _error(errno.ENOPROTOOPT)
        if key == options.V6ONLY and sock.local is not None:
            raise _error(errno.EINVAL)
        changed = sock.options.set(key, call.read(call.arguments[3], size))
        connection = sock.relay.connection if sock.relay is not None else None
        if changed is not None and connection is not None:
            try:
                connection.set_options(changed.begun())
            except ValueError:
                raise _error(errno.EINVAL) from None
            self._host.wake()
        return 0

    def _getsockopt(self, call: Call, sock: Socket) -> int:
        key = call.signed(1), call.signed(2)
        if options.is_native(key):
            raise Proceed
        if not sock.has_level(key[0]):
            raise _error(errno.EOPNOTSUPP)
        value = told(sock, key, self._congestion)
        (room,) = _INT.unpack(call.read(call.arguments[4], _INT.size))
        value = options.fitting(key, value, room)
        call.write(call.arguments[3], value)
        call.write(call.arguments[4], _INT.pack(len(value)))
        return 0

    def _shutdown(self, call: Call, sock: Socket) -> int:
        how = call.signed(1)
        if sock.phase is Phase.LISTENING and how in (socket.SHUT_RD, socket.SHUT_RDWR):
            self._acceptor.close(sock)
            sock.stop_listening()
            raise Proceed
        if sock.phase in (Phase.NEW, Phase.FAILED):
            raise _error(errno.ENOTCONN)
        sock.shut_side(how)
        if sock.phase is Phase.CONNECTED and how == socket.SHUT_WR and sock.relay is not None:
            with call.socket() as end, contextlib.suppress(OSError):
                end.send(b"\0", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                end.shutdown(socket.SHUT_WR)
                sock.relay.shut()
                return 0
        raise Proceed

    def _special(self, call: Call, sock: Socket) -> int:
        """Refuse urgent data and TCP Fast Open, which a Unix socket cannot carry."""
        del sock
        raise _error(errno.EINVAL if call.name.startswith("recv") else errno.EOPNOTSUPP)

    # Common parts of the calls

    def _address(self, call: Call, sock: Socket) -> Address:
        """Return the address: the second argument points to it, the third one is its size."""
        return addresses.decode(self._given(call), sock.family)

    def _given(self, call: Call) -> bytes:
        size = call.signed(2)
        if not 0 <= size <= sockinfo.SOCKADDR_STORAGE:
            raise _error(errno.EINVAL)
        return call.read(call.arguments[1], size)

    def _tell(self, call: Call, address: Address, family: int) -> None:
        """Write an address and its size to where the second and the third argument point."""
        data, where, room_at = addresses.encode(address, family), *call.arguments[1:3]
        (room,) = _INT.unpack(call.read(room_at, _INT.size))
        if room < 0:
            raise _error(errno.EINVAL)
        call.write(where, data[:room])
        call.write(room_at, _INT.pack(len(data)))

    def _tell_peer(self, call: Call, address: Address, family: int) -> None:
        """Write the address of a peer, if the program passed a pointer for it."""
        if call.arguments[1]:
            self._tell(call, address, family)

    # Events of connections

    def _hung_up(self, sock: Socket) -> bool:
        """Handle the end of a relay; return whether to reset the connection."""
        self._connector.hung_up(sock)
        relay = sock.relay
        if relay is not None and relay.connection is not None:
            self._observer.closing(relay.connection)
            if relay.shut_both_ways or sock.shut == SHUT[socket.SHUT_RDWR]:
                return False  # a program may still have the socket
        self._remove(sock)
        return sock.options.resets or sock.dissolved

    def _failed(self, sock: Socket, error: OSError) -> None:
        """Leave unread data in our end of a pair: the program's reads fail with ECONNRESET."""
        relay = sock.relay
        if relay is None or relay.connection is None:
            return  # the junk is unread data
        self._observer.closing(relay.connection)
        sock.fail(error.errno or errno.EIO)
        if not unread(relay):
            end = find_socket(sock.inode, sock.seen)
            if end is not None:
                with end, contextlib.suppress(OSError):
                    end.send(b"\0", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def _accepted_hung_up(self, sock: Socket | None, relay: Relay) -> bool:
        if sock is not None:
            return self._hung_up(sock)
        if relay.connection is not None:
            self._observer.closing(relay.connection)
        return True  # no program has accepted it

    def _accepted_failed(self, sock: Socket | None, relay: Relay, error: OSError) -> None:
        if sock is not None:
            self._failed(sock, error)
        elif relay.connection is not None:
            self._observer.closing(relay.connection)

    def _sweep(self) -> None:
        self._remove_closed()
        self._acceptor.prune()
        self._sweeping = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)

    def _remove_closed(self) -> bool:
        """Remove sockets that no program has any more; return whether there were any."""
        found = self._table.closed()
        for sock in found:
            self._remove(sock)
        return bool(found)

    def _remove(self, sock: Socket) -> None:
        self._acceptor.close(sock)
        self._table.remove(sock)


def _spoken(endpoint: Endpoint) -> tuple[bool, str]:
    """Return whether a stack supports MPTCP, and the name of its congestion control."""
    if isinstance(endpoint, MptcpEndpoint):
        return True, endpoint.config.tcp.congestion
    assert isinstance(endpoint, TcpEndpoint)  # noqa: S101 - there are no others
    return False, endpoint.config.congestion


class _HostPorts:
    """A host's ports and addresses."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.hold_port = host.hold_port
        self.let_go_port = host.let_go_port

    def is_local(self, host: str) -> bool:
        """Return whether an address belongs to this host."""
        return self._host.is_local(host)


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
