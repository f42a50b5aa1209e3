"""listen(2) and accept(2): connections of the stack for a listening Unix socket of the program."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import functools
import os
import socket
from collections.abc import Callable
from typing import Final

import msgspec

from testbed.host.driver import Host, HostServer
from testbed.packet.address import Address
from testbed.programs.connecting import LATER, time_limit
from testbed.programs.relay import BUFFER, Edges, Relay
from testbed.programs.rendezvous import is_own, name_and_listen
from testbed.programs.seccomp import Listener
from testbed.programs.sockets import Phase, Socket, Table, inode_of
from testbed.programs.target import Call, GoneError
from testbed.streams import StreamTransport

Name = Callable[[Call, Address, int], None]
_FLAGS: Final = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_MOST: Final = 4096  # the maximum backlog: SOMAXCONN


class _Arrival(msgspec.Struct, eq=False):
    """A connection that waits to be accepted. It has a ``sock`` after a program has accepted it."""

    relay: Relay
    transport: StreamTransport
    sock: Socket | None = None


class _Queue:
    """The state of one listening socket."""

    def __init__(self, sock: Socket, name: str | bytes) -> None:
        self.sock = sock
        self.name = name  # the name of the Unix socket
        self.arrivals: dict[str | bytes, _Arrival] = {}  # key: the name of our end
        self.returned: list[tuple[socket.socket, _Arrival]] = []  # accepted, but the call had ended
        self.calls: list[Call] = []  # the calls that wait

    @property
    def some(self) -> bool:
        """Whether there is a connection to accept."""
        return bool(self.arrivals or self.returned)


class _Newcomer(asyncio.Protocol):
    """The transport's callbacks of a new connection until it has a relay."""

    def __init__(self, arrived: Callable[[StreamTransport], None]) -> None:
        self._arrived = arrived

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pass the connection on."""
        assert isinstance(transport, StreamTransport)  # noqa: S101 - of our streams
        self._arrived(transport)


class _Group:
    """The sockets that listen on the same address (SO_REUSEPORT), served in turn."""

    def __init__(self) -> None:
        self.servers: list[HostServer] = []
        self.queues: list[_Queue] = []


class Acceptor:
    """Accepts connections for programs.

    :param name: a function that writes the address of a peer to a program's memory, in the form of
        a socket's family.
    :param on_hangup, on_failure: see :class:`testbed.programs.relay.Relay`.
    """

    def __init__(
        self,
        host: Host,
        listener: Listener,
        table: Table,
        edges: Edges,
        name: Name,
        on_hangup: Callable[[Socket | None, Relay], bool],
        on_failure: Callable[[Socket | None, Relay, OSError], object],
    ) -> None:
        self._host = host
        self._listener = listener
        self._table = table
        self._edges = edges
        self._name = name
        self._on_hangup = on_hangup
        self._on_failure = on_failure
        self._queues: dict[Socket, _Queue] = {}
        self._groups: dict[tuple[str, int], _Group] = {}

    def listen(self, call: Call, sock: Socket, backlog: int) -> int:
        """Start to listen.

        :raises OSError: the error for listen(2).
        """
        if sock.phase is Phase.LISTENING:
            return 0
        if sock.phase is not Phase.NEW:
            raise _error(errno.EINVAL)
        if not sock.holds_port:
            self._table.bind(sock, sock.name)
        self._table.require_free(sock)
        with call.socket() as end:
            name_and_listen(end)
            queue = _Queue(sock, end.getsockname())
        key = sock.name
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group()
            try:
                self._open(group, sock, backlog)
            except OSError:
                del self._groups[key]
                raise
        group.queues.append(queue)
        self._queues[sock] = queue
        sock.listen()
        return 0

    def _open(self, group: _Group, sock: Socket, backlog: int) -> None:
        limit = min(max(0, backlog), _MOST)
        try:
            for host in sock.hosts:
                local = Address(host, sock.name.port)
                options = sock.options.of_stack
                factory = functools.partial(_Newcomer, functools.partial(self._arrived, group))
                server = self._host.create_server(factory, local, options, accept_queue=limit)
                group.servers.append(server)
        except (OSError, ValueError) as error:
            for server in group.servers:
                server.close()
            raise error if isinstance(error, OSError) else _error(errno.EINVAL) from None

    def close(self, sock: Socket) -> None:
        """Stop listening. Waiting calls fail, and waiting connections are reset."""
        queue = self._queues.pop(sock, None)
        if queue is None:
            return
        for call in queue.calls:
            self._listener.fail(call.id, errno.EINVAL)
        for arrival in queue.arrivals.values():
            arrival.transport.abort()
        for end, arrival in queue.returned:
            arrival.transport.abort()
            end.close()
        group = self._groups[sock.name]
        group.queues.remove(queue)
        if not group.queues:
            del self._groups[sock.name]
            for server in group.servers:
                server.close()

    def prune(self) -> None:
        """Remove calls that no longer wait."""
        for queue in self._queues.values():
            queue.calls = [call for call in queue.calls if self._listener.is_valid(call.id)]

    def accept(self, call: Call, sock: Socket) -> int | None:
        """Accept a connection for a call, or let the call wait.

        :raises OSError: the error for accept(2).
        """
        queue = self._queues.get(sock)
        if queue is None or call.flags & ~_FLAGS:
            raise _error(errno.EINVAL)
        if queue.some:
            self._give(call, queue)
            return LATER  # the call is answered already
        with call.socket() as end:
            if fcntl.fcntl(end, fcntl.F_GETFL) & os.O_NONBLOCK:
                raise _error(errno.EAGAIN)
            limit_s = time_limit(end, socket.SO_RCVTIMEO)
        queue.calls.append(call)
        if limit_s:
            asyncio.get_running_loop().call_later(limit_s, self._late, call, queue)
        return LATER

    def _late(self, call: Call, queue: _Queue) -> None:
        if call in queue.calls:
            queue.calls.remove(call)
            self._listener.fail(call.id, errno.EAGAIN)

    def _arrived(self, group: _Group, transport: StreamTransport) -> None:
        """Pass a connection of the stack to a listening socket."""
        for queue in tuple(group.queues):
            group.queues.remove(queue)
            group.queues.append(queue)  # the next queue gets the next connection
            near = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            near.bind("")
            try:
                near.connect(queue.name)
            except OSError:  # no program has the socket any more
                near.close()
                continue
            self._enter(queue, near, transport)
            return
        transport.abort()

    def _enter(self, queue: _Queue, near: socket.socket, transport: StreamTransport) -> None:
        arrival: _Arrival
        relay = Relay(
            near,
            self._edges,
            on_hangup=lambda relay: self._on_hangup(arrival.sock, relay),
            on_failure=lambda relay, error: self._on_failure(arrival.sock, relay, error),
        )
        arrival = queue.arrivals[near.getsockname()] = _Arrival(relay, transport)
        transport.set_protocol(relay)
        relay.connection_made(transport)
        self._serve(queue)

    def _serve(self, queue: _Queue) -> None:
        """Answer the waiting calls."""
        while queue.calls and queue.some:
            call = queue.calls.pop(0)
            try:
                self._give(call, queue)
            except OSError as error:
                if not isinstance(error, GoneError):
                    self._listener.fail(call.id, error.errno or errno.EIO)

    def _give(self, call: Call, queue: _Queue) -> None:
        """Answer a call with a connection. Raises OSError."""
        end, arrival = self._next(call, queue)
        try:
            taken = self._hand(call, queue.sock, end, arrival)
        except OSError:
            queue.returned.insert(0, (end, arrival))
            raise
        if not taken:
            queue.returned.insert(0, (end, arrival))
            return
        end.close()

    def _next(self, call: Call, queue: _Queue) -> tuple[socket.socket, _Arrival]:
        if queue.returned:
            return queue.returned.pop(0)
        with call.socket() as listening:
            while True:
                end, name = listening.accept()
                arrival = queue.arrivals.pop(name, None)
                if arrival is not None and is_own(end):
                    return end, arrival
                end.close()  # another process connected to the name

    def _hand(self, call: Call, sock: Socket, end: socket.socket, arrival: _Arrival) -> bool:
        flow = arrival.transport.get_extra_info("connection").flow
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        end.setblocking(not call.flags & socket.SOCK_NONBLOCK)
        self._name(call, flow.remote, sock.family)
        accepted = Socket(inode_of(end), sock.family, sock.protocol, sock.options.copy())
        accepted.accept(flow, arrival.relay)
        cloexec = bool(call.flags & socket.SOCK_CLOEXEC)
        arrival.sock = accepted
        self._table.add(accepted)
        if not self._listener.give(call.id, end.fileno(), cloexec=cloexec):
            self._table.remove(accepted)
            arrival.sock = None
            return False
        self._host.endpoint.accepted(arrival.transport.get_extra_info("connection"))
        return True


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
