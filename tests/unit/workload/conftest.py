"""A stack in memory on a clock that jumps: the halves of a workload without a network."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from testbed.streams import PieceReader
from testbed.workload.limits import limited
from testbed.workload.transfer import Activity

Tamper = Callable[[bytes], Iterable[bytes]]


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(JumpingSelector(self))

    def time(self) -> float:
        return self.now


class JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise AssertionError("nothing is left that could ever happen")
        self._loop.now += max(0.0, timeout)
        return super().select(0)


class Pipe(asyncio.Transport):
    """One end of a connection: what is written arrives at the peer later, at a rate."""

    LIMIT = 64 * 1024  # octets not yet sent before the writer must wait

    def __init__(self, stack: MemoryStack, protocol: asyncio.StreamReaderProtocol) -> None:
        super().__init__()
        self.peer: Pipe
        self.protocol = protocol
        self._stack = stack
        self._loop = asyncio.get_running_loop()
        self._free = 0.0
        self._queued = 0
        self._closed = False

    def write(self, data: bytes | memoryview) -> None:  # type: ignore[override]
        for part in self._stack.tamper(bytes(data)):
            self._free = max(self._free, self._loop.time()) + len(part) * 8 / self._stack.rate
            self._queued += len(part)
            self._loop.call_at(self._free, self._depart, len(part))
            self._loop.call_at(self._free + self._stack.delay_s, self._arrive, part)
        if self._queued > self.LIMIT:
            self.protocol.pause_writing()

    def _depart(self, octets: int) -> None:
        if self._queued > self.LIMIT >= self._queued - octets:
            self.protocol.resume_writing()
        self._queued -= octets

    def _arrive(self, data: bytes) -> None:
        if data:
            self.peer.protocol.data_received(data)

    def write_eof(self) -> None:
        # A little after the data: timers of the same moment come in no order.
        at = max(self._free, self._loop.time()) + self._stack.delay_s + 1e-6
        self._loop.call_at(at, self.peer.protocol.eof_received)

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self._closed

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._loop.call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()
        reset = ConnectionResetError("reset by peer")
        self._loop.call_later(self._stack.delay_s, self.peer.protocol.connection_lost, reset)


class MemoryStack:
    """A stack with one server; ``tamper`` sees, and may change, every write."""

    name = "memory"
    protocol = "tcp"
    program_option = None

    def __init__(
        self,
        *,
        delay_s: float = 0.01,
        rate: float = 1e9,
        tamper: Tamper = lambda data: [data],
    ) -> None:
        self.delay_s = delay_s
        self.rate = rate
        self.tamper = tamper
        self._accept: Any = None

    async def connect(self, remote: tuple[str, int], data: bytes = b"") -> Any:
        await asyncio.sleep(2 * self.delay_s)
        if self._accept is None:
            raise ConnectionRefusedError(111, "Connection refused")
        ends = [self._end() for _ in range(2)]
        (_, _, first), (_, _, second) = ends
        first.peer, second.peer = second, first
        self._accept(*ends[1][:2])
        if data:
            ends[0][1].write(data)
        return ends[0][:2]

    def _end(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Pipe]:
        loop = asyncio.get_running_loop()
        reader = PieceReader(1 << 16, loop)
        protocol = asyncio.StreamReaderProtocol(reader)
        pipe = Pipe(self, protocol)
        protocol.connection_made(pipe)
        return reader, asyncio.StreamWriter(pipe, protocol, reader, loop), pipe

    async def listen(self, on_connection: Any, local: tuple[str, int]) -> MemoryStack:
        self._accept = on_connection
        return self

    def close(self) -> None:
        self._accept = None

    def command(self, argv: Iterable[str]) -> tuple[str, ...]:
        return tuple(argv)

    def inspect(self, writer: asyncio.StreamWriter) -> dict[str, Any]:
        return {"memory": True}

    def used(self, writer: asyncio.StreamWriter) -> dict[str, Any]:
        return {"congestion": "none"}


class Halves:
    """Runs both halves of a job in virtual time; a half that fails gives its error."""

    stack = MemoryStack

    def run(
        self, kind: Any, job: Any, stack: MemoryStack, *, limit_s: float = 100, serve: bool = True
    ) -> tuple[Any, Any]:
        with asyncio.Runner(loop_factory=JumpingLoop) as runner:
            client, server = runner.run(self._both(kind, job, stack, limit_s, serve=serve))
        return client, server

    async def _both(
        self, kind: Any, job: Any, stack: MemoryStack, limit_s: float, *, serve: bool
    ) -> list[Any]:
        both = asyncio.Barrier(2)

        async def half(run: Any, role: str) -> Any:
            mine = Activity(
                role,
                on_ready=lambda: None,
                on_start=lambda: None,
                meet=both.wait,
            )
            return await limited(run(stack, ("", 1), job, mine), mine, round(limit_s * 1e9))

        halves = [half(kind.connect, "client")]
        if serve:
            halves.append(half(kind.serve, "server"))
        serving = [asyncio.ensure_future(each) for each in reversed(halves)]
        results = await asyncio.gather(*serving, return_exceptions=True)
        return [*reversed(results), None][:2]


@pytest.fixture
def halves() -> Halves:
    return Halves()


def flipping(position: int) -> Tamper:
    """Flip one bit of the octet at a position of all that is written."""
    return _at(position, lambda octet: [bytes([octet[0] ^ 1])])


def _at(position: int, change: Callable[[bytes], list[bytes]]) -> Tamper:
    seen = 0

    def tamper(data: bytes) -> list[bytes]:
        nonlocal seen
        start, seen = seen, seen + len(data)
        if not start <= position < seen:
            return [data]
        cut = position - start
        return [data[:cut], *change(data[cut : cut + 1]), data[cut + 1 :]]

    return tamper


@pytest.fixture
def tampering() -> dict[str, Tamper]:
    """Ways a stack can be wrong, each at octet 100,000 of what is written."""
    return {
        "flips a bit": flipping(100_000),
        "loses an octet": _at(100_000, lambda octet: []),
        "repeats an octet": _at(100_000, lambda octet: [octet, octet]),
    }
