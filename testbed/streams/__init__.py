"""asyncio streams over an :class:`~testbed.stack.connection.Endpoint`, for each kind of driver.

A driver has an endpoint, a clock and an event loop, and handles segments and timers. It passes the
events of connections to :meth:`Streams.dispatch`. Applications get a ``StreamReader``
(:mod:`testbed.streams.reader`) and asyncio's ``StreamWriter``.

Closing works as with sockets: ``wait_closed`` of a writer returns when the stack has taken all
data. The stack then closes the connection in the background. :meth:`Streams.finished` waits for
that too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from testbed.packet.address import Address, Flow
from testbed.stack.connection import (
    Closed,
    Connected,
    Connection,
    ConnectionFailure,
    Delivered,
    ErrorKind,
    Event,
    Listener,
    Readable,
    Writable,
)
from testbed.stack.options import NO_OPTIONS, SocketOptions
from testbed.streams.reader import PieceReader
from testbed.streams.transport import Driver, StreamTransport, error_of

__all__ = [
    "Driver",
    "OnConnection",
    "PieceReader",
    "Server",
    "StreamPair",
    "StreamTransport",
    "Streams",
    "error_of",
]

READ_LIMIT: Final = 1024 * 1024  # octets; reading stops at twice as many that were not taken
StreamPair = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_Opening = tuple[asyncio.Protocol, "asyncio.Future[StreamTransport]"]
OnConnection = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None]


class Streams:
    """All streams of one endpoint.

    :param limit: a reader that holds twice this many octets pauses the transport.
    """

    def __init__(self, driver: Driver, *, limit: int = READ_LIMIT) -> None:
        self._driver = driver
        self._limit = limit
        self._opening: dict[Connection, _Opening] = {}
        self._servers: list[Server] = []
        self._transports: dict[Connection, StreamTransport] = {}
        self._idle: list[asyncio.Future[None]] = []
        # Called for each connection that had streams, when the stack has ended it.
        self.on_ended: Callable[[Connection], object] = lambda _: None

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections with streams, including those that the stack is still closing."""
        return tuple(self._transports)

    async def open_connection(
        self, flow: Flow, data: bytes = b"", options: SocketOptions = NO_OPTIONS
    ) -> StreamPair:
        """Open a connection.

        :param data: the first data to write. With TCP Fast Open it may leave with the SYN.
        :raises OSError: it is refused, times out, or exists already.
        :raises ValueError: an option cannot be set.
        """
        loop = asyncio.get_running_loop()
        reader = PieceReader(self._limit, loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport = await self.create_connection(protocol, flow, data, options)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def create_connection(
        self,
        protocol: asyncio.Protocol,
        flow: Flow,
        data: bytes = b"",
        options: SocketOptions = NO_OPTIONS,
    ) -> StreamTransport:
        """Open a connection whose transport calls an asyncio protocol.

        The parameters and errors are those of :meth:`open_connection`.
        """
        now = self._driver.now()
        connection = self._driver.endpoint.connect(flow, now, data=data, options=options)
        rest = data[connection.unsent :]
        opened: asyncio.Future[StreamTransport] = asyncio.get_running_loop().create_future()
        self._opening[connection] = protocol, opened
        self._driver.wake()
        try:
            transport = await opened
            if rest:  # without data the program may have closed its side meanwhile
                transport.write(rest)
        except asyncio.CancelledError:
            connection.abort()
            self._driver.wake()
            raise
        finally:
            del self._opening[connection]
        return transport

    async def start_server(
        self,
        on_connection: OnConnection,
        local: Address,
        options: SocketOptions = NO_OPTIONS,
        *,
        accept_queue: int | None = None,
    ) -> Server:
        """Listen. As in asyncio, ``on_connection`` may be a coroutine function.

        :param options: the options of new connections.
        :param accept_queue: see :class:`testbed.stack.connection.Endpoint`, whose ``accepted`` must
            be called for each accepted connection.
        :raises OSError: the port is open already.
        :raises ValueError: an option cannot be set.
        """
        return self.create_server(
            self.readers(on_connection), local, options, accept_queue=accept_queue
        )

    def readers(self, on_connection: OnConnection) -> Callable[[], asyncio.Protocol]:
        """Return a factory of the protocols that pass a server's connections as streams."""

        def make() -> asyncio.Protocol:
            loop = asyncio.get_running_loop()
            reader = PieceReader(self._limit, loop)
            return asyncio.StreamReaderProtocol(reader, on_connection, loop=loop)

        return make

    def create_server(
        self,
        factory: Callable[[], asyncio.Protocol],
        local: Address,
        options: SocketOptions = NO_OPTIONS,
        *,
        accept_queue: int | None = None,
    ) -> Server:
        """Listen. The transport of each connection calls an asyncio protocol.

        The other parameters and the errors are those of :meth:`start_server`.
        """
        endpoint = self._driver.endpoint
        listener = endpoint.listen(local, options=options, accept_queue=accept_queue)
        server = Server(self, listener, factory)
        self._servers.append(server)
        return server

    def dispatch(self, connection: Connection, event: Event) -> None:
        """Process one event of the endpoint.

        An exception in the application's callback ends that connection and goes to the event loop's
        exception handler. Other connections are not affected.
        """
        try:
            self._pass_on(connection, event)
        except Exception as error:
            _report(f"an event of the connection {connection.flow} could not be handled", error)
            with contextlib.suppress(Exception):  # a fault in the stack as well
                connection.abort()
            self._driver.wake()

    def _pass_on(self, connection: Connection, event: Event) -> None:
        if isinstance(event, Connected):
            self._connected(connection)
            return
        if isinstance(event, Closed):
            self._closed(connection, event.failure)
            return
        transport = self._transports.get(connection)
        if transport is None:
            return
        if isinstance(event, Readable):
            transport.read_ready()
        elif isinstance(event, Writable):
            transport.write_ready()
        elif isinstance(event, Delivered):
            transport.note_delivered()

    async def finished(self) -> None:
        """Wait until the stack has closed all connections."""
        while self._transports:
            idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            await idle

    def forget(self, server: Server) -> None:
        """Remove a server."""
        self._servers.remove(server)

    def _connected(self, connection: Connection) -> None:
        opening = self._opening.get(connection)
        if opening is not None:
            protocol, opened = opening
            if not opened.done():
                opened.set_result(self._attach(connection, protocol))
            return
        server = self._server_of(connection.flow.local)
        if server is None:
            connection.abort()
            self._driver.wake()
        else:
            self._attach(connection, server.factory())

    def _attach(self, connection: Connection, protocol: asyncio.Protocol) -> StreamTransport:
        transport = StreamTransport(asyncio.get_running_loop(), self._driver, connection, protocol)
        self._transports[connection] = transport
        protocol.connection_made(transport)
        return transport

    def _closed(self, connection: Connection, failure: ConnectionFailure | None) -> None:
        opening = self._opening.get(connection)
        if opening is not None and not opening[1].done():
            opening[1].set_exception(
                error_of(failure or ConnectionFailure(ErrorKind.ABORTED, "before it was open"))
            )
        transport = self._transports.pop(connection, None)
        if not self._transports:
            for idle in self._idle:
                if not idle.done():
                    idle.set_result(None)
            self._idle.clear()
        if transport is not None:
            transport.ended(failure)
            self.on_ended(connection)
        elif opening is None and failure is not None and failure.cause is not None:
            _report(f"a fault in the stack has ended {connection.flow}", failure.cause)

    def _server_of(self, local: Address) -> Server | None:
        """Return the server for a local address. One for exactly this address has priority."""
        anywhere = Address("::" if ":" in local.host else "0.0.0.0", local.port)  # noqa: S104
        for wanted in (local, anywhere):
            for server in self._servers:
                if server.local == wanted:
                    return server
        return None


def _report(what: str, error: Exception) -> None:
    """Report an exception that no task awaits to the event loop."""
    asyncio.get_running_loop().call_exception_handler({"message": what, "exception": error})


class Server:
    """An open port."""

    def __init__(
        self, streams: Streams, listener: Listener, factory: Callable[[], asyncio.Protocol]
    ) -> None:
        self._streams: Streams | None = streams
        self._listener = listener
        self.factory = factory

    @property
    def local(self) -> Address:
        """The local address."""
        return self._listener.local

    def close(self) -> None:
        """Stop listening. Connections stay."""
        if self._streams is not None:
            self._streams.forget(self)
            self._streams = None
            self._listener.close()
