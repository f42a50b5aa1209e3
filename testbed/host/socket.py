"""Blocking sockets over the userspace stack, with the interface of :mod:`socket`.

::

    with Socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP) as sock:
        sock.settimeout(5)
        sock.connect(("10.0.1.2", 5001))
        sock.sendall(b"hello")

A thread with an event loop handles the segments of all sockets of the process. It starts with the
first socket. Each blocking call respects the time-out and raises the errors of kernel sockets.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import errno
import os
import socket
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Final, TypeVar

from testbed.host import endpoints
from testbed.host.driver import LINGER_S, Host, HostServer
from testbed.packet.address import Address
from testbed.sockinfo import IPPROTO_MPTCP
from testbed.stack.connection import Connection
from testbed.stack.options import NO_OPTIONS, SocketOptions
from testbed.streams import StreamPair, StreamTransport

__all__ = [
    "AF_INET",
    "AF_INET6",
    "IPPROTO_MPTCP",
    "IPPROTO_TCP",
    "SOCK_STREAM",
    "Socket",
    "SocketOptions",
]

AF_INET: Final = socket.AF_INET
AF_INET6: Final = socket.AF_INET6
SOCK_STREAM: Final = socket.SOCK_STREAM
IPPROTO_TCP: Final = socket.IPPROTO_TCP

_ANY: Final = {AF_INET: "0.0.0.0", AF_INET6: "::"}  # noqa: S104 - what bind(2) calls any address
_NS: Final = 1_000_000_000
_BACKLOG: Final = 128  # the default of Python's sockets
_PROTOCOLS: Final = (0, IPPROTO_TCP, IPPROTO_MPTCP)

T = TypeVar("T")


class _Engine:
    """The thread that handles segments, with one host driver for each protocol."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._hosts: dict[int, Host] = {}
        threading.Thread(target=self.loop.run_forever, name="testbed", daemon=True).start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """Send the remaining data of closed sockets for a limited time, as the kernel would."""

        async def finish() -> None:
            for host in self._hosts.values():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(host.finish(), LINGER_S)

        self.call(finish(), None)
        self.loop.call_soon_threadsafe(self.loop.stop)

    def call(self, work: Coroutine[Any, Any, T], timeout: float | None) -> T:
        """Run a coroutine in the thread and wait for it. Cancel it after the time-out."""
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, timeout), self.loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED)) from None

    async def host(self, protocol: int) -> Host:
        """Return the driver of a protocol."""
        if protocol not in self._hosts:
            make = (
                endpoints.mptcp(endpoints.like_the_kernel(endpoints.MPTCP), follow=True)
                if protocol == IPPROTO_MPTCP
                else endpoints.tcp()
            )
            self._hosts[protocol] = Host(make)
        return self._hosts[protocol]


_engine: _Engine | None = None
_starting: Final = threading.Lock()


def _start() -> _Engine:
    global _engine  # noqa: PLW0603 - one thread serves the whole process
    with _starting:
        _engine = _engine or _Engine()
        return _engine


class Socket:
    """A stream socket.

    :param family: AF_INET or AF_INET6.
    :param kind: SOCK_STREAM.
    :param protocol: IPPROTO_MPTCP, or IPPROTO_TCP or 0 for TCP.
    :raises OSError: EAFNOSUPPORT, ESOCKTNOSUPPORT or EPROTONOSUPPORT for other values.
    :raises PlatformError: this process may not open packet sockets.
    """

    def __init__(
        self, family: int = AF_INET, kind: int = SOCK_STREAM, protocol: int = IPPROTO_MPTCP
    ) -> None:
        for given, known, number in (
            (family, tuple(_ANY), errno.EAFNOSUPPORT),
            (kind, (SOCK_STREAM,), errno.ESOCKTNOSUPPORT),
            (protocol, _PROTOCOLS, errno.EPROTONOSUPPORT),
        ):
            if given not in known:
                raise OSError(number, os.strerror(number))
        self.family = socket.AddressFamily(family)
        self._engine = _start()
        self._protocol = protocol or int(IPPROTO_TCP)
        self._host = self._engine.call(self._engine.host(self._protocol), None)
        self._timeout: float | None = None
        self._options = NO_OPTIONS
        self._bound: Address | None = None
        self._pair: StreamPair | None = None
        self._server: HostServer | None = None
        self._accepted: asyncio.Queue[StreamPair] | None = None
        self._closed = False
        self._reading_shut = False

    def __enter__(self) -> Socket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def settimeout(self, seconds: float | None) -> None:
        """Set the time-out of blocking calls in seconds; ``None`` for none."""
        self._timeout = seconds

    def gettimeout(self) -> float | None:
        """Return the value of :meth:`settimeout`."""
        return self._timeout

    def set_options(self, options: SocketOptions) -> None:
        """Set options, before or after ``connect`` or ``listen``. Other options stay.

        :raises ValueError: an option has a value that is not allowed, the protocol does not have
            it, or it can no longer be changed.
        """
        options.check()
        if self._protocol == IPPROTO_MPTCP:
            options.require_mptcp()
        if self._pair is not None:
            connection = self.connection

            async def change() -> None:
                connection.set_options(options)
                self._host.wake()

            self._wait(change())
        self._options = self._options.changed_by(options)

    def bind(self, address: tuple[str, int]) -> None:
        """Set the local address, and for a listener the port; ``""`` is any address."""
        self._bound = Address(address[0] or _ANY[self.family], address[1])

    def connect(self, address: tuple[str, int]) -> None:
        """Open a connection.

        :raises OSError: ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH and so on; EISCONN.
        """
        if self._pair is not None:
            raise OSError(errno.EISCONN, os.strerror(errno.EISCONN))
        source = None if self._bound is None else self._bound.host
        if source == _ANY[self.family]:
            source = None
        remote = Address(*address[:2])
        self._pair = self._wait(self._host.open_connection(remote, source, options=self._options))

    def listen(self, backlog: int = _BACKLOG) -> None:
        """Listen at the address of :meth:`bind`, or at a free port.

        :param backlog: as in listen(2): when more connections wait for :meth:`accept`, new ones get
            no answer.
        """

        async def start() -> tuple[HostServer, asyncio.Queue[StreamPair]]:
            accepted: asyncio.Queue[StreamPair] = asyncio.Queue()

            async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                accepted.put_nowait((reader, writer))

            local = self._bound or Address(_ANY[self.family], 0)
            queue = max(0, backlog)
            server = await self._host.start_server(take, local, self._options, accept_queue=queue)
            return server, accepted

        self._server, self._accepted = self._wait(start())

    def accept(self) -> tuple[Socket, tuple[str, int]]:
        """Return the next connection and the peer's address."""
        if self._accepted is None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        accepted = Socket(self.family, SOCK_STREAM, self._protocol)
        accepted._options = self._options
        accepted._pair = self._wait(self._next(self._accepted))
        return accepted, accepted.getpeername()

    async def _next(self, accepted: asyncio.Queue[StreamPair]) -> StreamPair:
        pair = await accepted.get()
        self._host.endpoint.accepted(pair[1].get_extra_info("connection"))
        return pair

    def send(self, data: bytes) -> int:
        """Send octets; return their number."""
        self.sendall(data)
        return len(data)

    def sendall(self, data: bytes) -> None:
        """Send octets; return after the stack has taken most of them.

        After a time-out the number of sent octets is unknown.

        :raises OSError: EPIPE after :meth:`shutdown`, ECONNRESET and so on.
        """
        _, writer = self._stream()

        async def write() -> None:
            if writer.is_closing():
                raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
            try:
                writer.write(data)
            except RuntimeError:  # raised after write_eof
                raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from None
            await writer.drain()

        self._wait(write())

    def recv(self, size: int) -> bytes:
        """Return up to ``size`` octets as soon as some have arrived, or ``b""`` at the end."""
        reader, _ = self._stream()
        return self._wait(_there(reader, size) if self._reading_shut else reader.read(size))

    def shutdown(self, how: int) -> None:
        """Close the sending side (SHUT_WR), the receiving side (SHUT_RD), or both (SHUT_RDWR).

        As in Linux, SHUT_RD sends nothing, and data that arrives can still be read. But
        :meth:`recv` does not wait: without data it returns the end of the stream.
        """
        _, writer = self._stream()
        self._reading_shut |= how in (socket.SHUT_RD, socket.SHUT_RDWR)

        async def end() -> None:
            if how in (socket.SHUT_WR, socket.SHUT_RDWR):
                writer.write_eof()

        self._wait(end())

    def getsockname(self) -> tuple[str, int]:
        """Return the local address."""
        if self._pair is not None:
            local = self.connection.flow.local
        elif self._server is not None:
            local = self._server.local
        else:
            local = self._bound or Address(_ANY[self.family], 0)
        return local.host, local.port

    def getpeername(self) -> tuple[str, int]:
        """Return the peer's address."""
        remote = self.connection.flow.remote
        return remote.host, remote.port

    @property
    def connection(self) -> Connection:
        """The connection of the stack, for example for its :meth:`info`."""
        found: Connection = self._stream()[1].get_extra_info("connection")
        return found

    def close(self) -> None:
        """Close the socket. The stack continues to send the data that it has taken.

        With the options ``linger`` and ``linger_ns`` it returns after the peer has acknowledged
        everything, or after that time.
        """
        if self._closed:
            return
        self._closed = True

        async def end() -> None:
            if self._server is not None:
                self._server.close()
            if self._pair is not None:
                transport = self._pair[1].transport
                transport.close()
                assert isinstance(transport, StreamTransport)  # noqa: S101 - of our streams
                if self._options.linger and self._options.linger_ns:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._options.linger_ns / _NS):
                            await transport.delivered()

        self._engine.call(end(), None)

    def _stream(self) -> StreamPair:
        if self._closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if self._pair is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._pair

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        if self._closed:
            work.close()
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._engine.call(work, self._timeout)


async def _there(reader: asyncio.StreamReader, size: int) -> bytes:
    """Return up to ``size`` octets that have arrived, possibly none."""
    reading = asyncio.ensure_future(reader.read(size))
    await asyncio.sleep(0)  # the task ends now unless it has to wait
    if reading.done():
        return reading.result()
    reading.cancel()
    return b""
