"""An endpoint that does what the test says, and streams over it."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from typing import Any

from testbed.packet.address import Address, Flow
from testbed.stack.connection import (
    Closed,
    Connected,
    ConnectionFailure,
    ErrorKind,
    Event,
    Readable,
)
from testbed.stack.options import SocketOptions
from testbed.streams import Streams

CLIENT = Address("10.0.0.1", 40000)
SERVER = Address("10.0.0.2", 80)
OUTGOING = Flow(CLIENT, SERVER)


class ScriptedConnection:
    """Takes ``room`` octets; what "arrives" is put there by the test."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.room = 1_000_000_000
        self.sent = bytearray()
        self.arrived = bytearray()
        self.calls: list[str] = []
        self.ended = False
        self.broken = False
        self.failure = None
        self.closed = False
        self.unsent = 0

    def send(self, data: bytes) -> int:
        if self.broken:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        taken = data[: self.room]
        self.sent += taken
        self.room -= len(taken)
        return len(taken)

    def read(self, limit: int) -> bytes:
        data = bytes(self.arrived[:limit])
        del self.arrived[:limit]
        return data

    @property
    def at_eof(self) -> bool:
        return self.ended and not self.arrived

    def shutdown(self) -> None:
        self.calls.append("shutdown")

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def info(self) -> dict[str, Any]:
        return {}


class ScriptedListener:
    def __init__(self, local: Address) -> None:
        self.local = local
        self.closed = False

    def close(self) -> None:
        self.closed = True


class ScriptedEndpoint:
    def __init__(self) -> None:
        self.connections: list[ScriptedConnection] = []
        self.listeners: list[ScriptedListener] = []
        self.options: list[SocketOptions] = []  # the requested options

    def connect(
        self, flow: Flow, now: int, *, data: bytes = b"", options: SocketOptions
    ) -> ScriptedConnection:
        self.options.append(options)
        self.connections.append(ScriptedConnection(flow))
        return self.connections[-1]

    def listen(
        self, local: Address, *, options: SocketOptions, accept_queue: int | None
    ) -> ScriptedListener:
        assert accept_queue is None
        self.options.append(options)
        self.listeners.append(ScriptedListener(local))
        return self.listeners[-1]


class ScriptedDriver:
    def __init__(self) -> None:
        self.endpoint: Any = ScriptedEndpoint()
        self.woken = 0

    def now(self) -> int:
        return 7

    def wake(self) -> None:
        self.woken += 1


class Bench:
    """Streams with everything below them in the test's hands."""

    def __init__(self) -> None:
        self.driver = ScriptedDriver()
        self.streams = Streams(self.driver, limit=1000)
        self._writers: list[asyncio.StreamWriter] = []
        self.accepted: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def opened(
        self,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, ScriptedConnection]:
        opening = asyncio.ensure_future(self.streams.open_connection(OUTGOING))
        await asyncio.sleep(0)
        connection = self.driver.endpoint.connections[-1]
        self.tell(connection, Connected())
        reader, writer = await opening
        self._writers.append(writer)
        return reader, writer, connection

    def tidy(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def tell(self, connection: ScriptedConnection, event: Event) -> None:
        self.streams.dispatch(connection, event)

    def arrive(self, connection: ScriptedConnection, data: bytes) -> None:
        connection.arrived += data
        self.tell(connection, Readable())

    def end(self, connection: ScriptedConnection) -> None:
        connection.ended = True
        self.tell(connection, Readable())

    def fail(self, connection: ScriptedConnection, kind: ErrorKind) -> None:
        self.tell(connection, Closed(ConnectionFailure(kind)))

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted.append((reader, writer))


def run(test: Callable[[Bench], Awaitable[None]]) -> None:
    async def bounded() -> None:
        bench = Bench()
        try:
            async with asyncio.timeout(10):
                await test(bench)
        finally:
            bench.tidy()

    asyncio.run(bounded())
