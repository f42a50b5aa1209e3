"""connect(2): the stack opens a connection, and the program's Unix socket becomes one of a pair."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Callable
from typing import Final

from testbed.host.driver import Host
from testbed.packet.address import Address, unmapped
from testbed.programs import addresses
from testbed.programs.options import V6ONLY
from testbed.programs.relay import Edges, Relay
from testbed.programs.rendezvous import Rendezvous, fill
from testbed.programs.seccomp import Listener
from testbed.programs.sockets import Phase, Socket, Table, inode_of, unix_socket
from testbed.programs.target import Call

LATER: Final = None  # the call is answered later, when the attempt has succeeded or failed
_TIMEVAL: Final = struct.Struct("@qq")


class Connector:
    """Opens connections for programs.

    :param on_hangup, on_failure: see :class:`testbed.programs.relay.Relay`.
    """

    def __init__(
        self,
        host: Host,
        listener: Listener,
        table: Table,
        edges: Edges,
        on_hangup: Callable[[Socket], bool],
        on_failure: Callable[[Socket, OSError], object],
    ) -> None:
        self._host = host
        self._listener = listener
        self._table = table
        self._edges = edges
        self._on_hangup = on_hangup
        self._on_failure = on_failure
        self._rendezvous = Rendezvous()
        self._attempts: dict[Socket, asyncio.Task[None]] = {}
        self._waiting: dict[Socket, list[int]] = {}  # calls

    def close(self) -> None:
        """Abort the attempts that are in progress."""
        for task in tuple(self._attempts.values()):
            task.cancel()
        self._rendezvous.close()

    def connect(self, call: Call, sock: Socket, address: Address) -> int | None:
        """Connect. Return 0 if that is done, ``LATER`` if the program has to wait.

        :raises OSError: the error for connect(2).
        """
        if sock.phase in (Phase.CONNECTED, Phase.LISTENING):
            if not sock.tell():
                raise _error(errno.EISCONN)
            return 0
        with call.socket() as end:
            blocks = not fcntl.fcntl(end, fcntl.F_GETFL) & os.O_NONBLOCK
            if sock.phase is Phase.CONNECTING:
                if not blocks:
                    raise _error(errno.EALREADY)
                return self._wait(call, sock, end)
            if sock.phase is Phase.FAILED:
                if sock.tell():
                    raise _error(sock.take_error() or errno.ECONNABORTED)
                self._renew(call, sock, end)
                return self.connect(call, sock, address)
            self._begin(sock, end, address)
            if not blocks:
                raise _error(errno.EINPROGRESS)
            return self._wait(call, sock, end)

    def disconnect(self, call: Call, sock: Socket) -> int:
        """Disconnect a socket, as connect(2) does with AF_UNSPEC.

        If the program has shut its side, the data is still delivered. Otherwise the connection is
        reset.
        """
        if sock.phase is not Phase.NEW:
            sock.dissolve()
            with call.socket() as end, self._new(call, end) as new:
                self._table.replace(sock, inode_of(new))
            if sock.relay is None:  # the socket was listening
                self._table.remove(sock)
        return 0

    def hung_up(self, sock: Socket) -> None:
        """Handle that no program has the socket any more: abort the attempt."""
        task = self._attempts.get(sock)
        if task is not None:
            task.cancel()
            self._answer(sock, errno.ECONNABORTED)  # a call of another thread may wait for this

    def _begin(self, sock: Socket, end: socket.socket, address: Address) -> None:
        remote = addresses.destination(address)
        local = self._local(sock, remote)
        near = self._rendezvous.join(end)
        relay = Relay(
            near,
            self._edges,
            junk=fill(end),
            on_hangup=lambda _: self._on_hangup(sock),
            on_failure=lambda _, error: self._on_failure(sock, error),
        )
        sock.begin(local, remote, relay)
        self._attempts[sock] = asyncio.ensure_future(self._attempt(sock, relay, local, remote))

    def _local(self, sock: Socket, remote: Address) -> Address:
        """Return the local address of the connection. Its port is reserved."""
        if ":" not in remote.host and sock.options.flag(V6ONLY):
            raise _error(errno.ENETUNREACH)
        if ":" in remote.host and sock.family == socket.AF_INET:
            raise _error(errno.EAFNOSUPPORT)
        host: str | None = unmapped(sock.name.host)
        if host is None or addresses.is_any(host):
            host = self._host.source_for(remote.host)
        if host is None:
            raise _error(errno.ENETUNREACH)
        if not sock.holds_port:
            self._table.reserve(sock, Address(host, 0))
        return Address(host, sock.name.port)

    async def _attempt(self, sock: Socket, relay: Relay, local: Address, remote: Address) -> None:
        try:
            await self._host.create_connection(relay, remote, local, sock.options.of_stack)
        except (OSError, ValueError) as error:
            failure = error if isinstance(error, OSError) else _error(errno.EINVAL)
            if failure.errno == errno.EADDRINUSE:  # a connection with these addresses exists
                failure = _error(errno.EADDRNOTAVAIL)
            self._answer(sock, failure.errno or errno.EIO)
            relay.fail(failure)
        except Exception:  # the event loop reports it; the program must not wait for ever
            self._answer(sock, errno.EIO)
            relay.fail(_error(errno.EIO))
            raise
        else:
            self._answer(sock, 0)
        finally:
            del self._attempts[sock]

    def _answer(self, sock: Socket, number: int) -> None:
        """Answer the waiting calls. If none waits, SO_ERROR and the next call report the result."""
        taken = [
            self._listener.fail(id_, number) if number else self._listener.answer(id_)
            for id_ in self._waiting.pop(sock, ())
        ]
        sock.conclude(number, told=any(taken))

    def _wait(self, call: Call, sock: Socket, end: socket.socket) -> int | None:
        self._waiting.setdefault(sock, []).append(call.id)
        limit_s = time_limit(end, socket.SO_SNDTIMEO)
        if limit_s:
            asyncio.get_running_loop().call_later(limit_s, self._late, call.id, sock)
        return LATER

    def _late(self, id_: int, sock: Socket) -> None:
        """End a call whose SO_SNDTIMEO has expired. The attempt continues."""
        waiting = self._waiting.get(sock, [])
        if id_ in waiting:
            waiting.remove(id_)
            self._listener.fail(id_, errno.EINPROGRESS)

    def _renew(self, call: Call, sock: Socket, end: socket.socket) -> None:
        """Replace the Unix socket of a failed connection by a new one."""
        with self._new(call, end) as new:
            self._table.renew(sock, inode_of(new))

    def _new(self, call: Call, end: socket.socket) -> socket.socket:
        """Return a new Unix socket that has replaced another one in the program."""
        new = unix_socket()
        try:
            fcntl.fcntl(new, fcntl.F_SETFL, fcntl.fcntl(end, fcntl.F_GETFL))
            self._listener.replace(call.id, new.fileno(), call.fd, cloexec=call.is_cloexec())
        except BaseException:
            new.close()
            raise
        return new


def time_limit(end: socket.socket, name: int) -> float:
    """Return SO_SNDTIMEO or SO_RCVTIMEO in seconds; 0 if there is no limit."""
    seconds, rest = _TIMEVAL.unpack(end.getsockopt(socket.SOL_SOCKET, name, _TIMEVAL.size))
    return float(seconds + rest / 1_000_000)


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
