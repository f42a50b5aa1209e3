"""What the halves of every workload share: sending and receiving with a digest, and the report.

Nothing here knows of sockets, processes or the time of day.  The only clock is the event loop's,
which is CLOCK_MONOTONIC on a usual loop and may be virtual.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

import msgspec

from testbed.errors import WorkloadError
from testbed.workload.payload import Digest, Flow, Payload
from testbed.workload.stacks import Server, Stack

T = TypeVar("T")

CHUNK: Final = (
    256 * 1024
)  # octets per write and read; also what asyncio reads from a socket at once
BIN_NS: Final = 100_000_000


def now_ns() -> int:
    """Return the running event loop's time in nanoseconds."""
    return round(asyncio.get_running_loop().time() * 1e9)


async def sleep_until(due_ns: int) -> int:
    """Sleep until ``due_ns`` and return when that was: later if the timer was, never if it passed.

    A time that has passed already is returned as it is, at once.
    """
    left_ns = due_ns - now_ns()
    if left_ns <= 0:
        return due_ns
    await asyncio.sleep(left_ns / 1e9)
    return max(due_ns, now_ns())


class Activity:
    """What a half is doing, for whoever watches it.

    :param on_ready: called with the port number once the half listens.
    """

    def __init__(self, role: str, on_ready: Callable[[int], None] = lambda port: None) -> None:
        self.role = role  # client or server
        self.on_ready = on_ready
        self.waiting_for = "its turn"
        self.started_ns: int | None = None
        self.octets = 0  # received
        self.samples = 0  # transactions answered or blocks received


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """What a job counts, and how many there will be (``None``: that is not known).

    :param unit: octets, transactions or blocks.
    """

    unit: str
    total: int | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one half saw.

    :param started_ns: when it began to connect or, on the server, had accepted.
    :param connected_ns: when its (first) connection was open.
    :param finished_ns: when it had read the last octet; ``connected_ns`` if it read none.
    :param longest_gap_ns: longest time between two reads that gave data.
    :param bins: octets read per interval of :data:`BIN_NS`, the first starting at
        ``started_ns``.
    :param samples_ns: a time per transaction or block; the job says which.
    :param view: the stack's own view of the (last) connection before it was closed.
    """

    started_ns: int
    connected_ns: int
    finished_ns: int
    sent: Flow
    received: Flow
    longest_gap_ns: int
    bins: tuple[int, ...]
    samples_ns: tuple[int, ...] = ()
    view: dict[str, Any] = {}


class Transfer:
    """Both directions of one half, over one connection or several after one another."""

    def __init__(self, stack: Stack, activity: Activity, seed: str) -> None:
        self._stack = stack
        self._activity = activity
        self._payload = Payload(seed)
        self._sent = Digest()
        self._received = Digest()
        self._bins: Counter[int] = Counter()
        self._last_read_ns: int | None = None
        self._longest_gap_ns = 0
        self._view: dict[str, Any] = {}
        self.started_ns = now_ns()
        self._connected_ns = 0

    async def connect(
        self, remote: tuple[str, int]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection."""
        self._activity.started_ns = self.started_ns
        self._activity.waiting_for = f"a connection to {remote[0]} port {remote[1]}"
        streams = await self._stack.connect(remote)
        self.connected()
        return streams

    def connected(self) -> None:
        """Note that a connection is open."""
        self._connected_ns = self._connected_ns or now_ns()

    async def send(self, writer: asyncio.StreamWriter, octets: int | None) -> None:
        """Send so many octets, or until cancelled."""
        while octets is None or octets > 0:
            data = self._payload.take(CHUNK if octets is None else min(octets, CHUNK))
            self._sent.update(data)
            writer.write(data)
            self._activity.waiting_for = f"room to send after {self._sent.octets} octets"
            await writer.drain()
            if octets is not None:
                octets -= len(data)

    async def receive(self, reader: asyncio.StreamReader, octets: int) -> None:
        """Read so many octets.

        :raises WorkloadError: the peer ended the connection before.
        """
        left = octets
        while left > 0:
            data = await self._read(reader, min(left, CHUNK))
            if not data:
                raise WorkloadError(
                    f"the {self._activity.role} was waiting for {self._activity.waiting_for}: "
                    "the peer ended the connection"
                )
            left -= len(data)

    async def receive_to_end(self, reader: asyncio.StreamReader) -> None:
        """Read until the peer half-closes."""
        while await self._read(reader, CHUNK):
            pass

    async def finish(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Half-close, read to the peer's end and close."""
        writer.write_eof()
        await self.receive_to_end(reader)
        await self.close(writer)

    async def close(self, writer: asyncio.StreamWriter) -> None:
        """Note the stack's view of the connection, then close it."""
        self._view = self._stack.inspect(writer)
        self._activity.waiting_for = "the connection to close"
        writer.close()
        await writer.wait_closed()

    def report(self, samples_ns: Iterable[int] = ()) -> Report:
        """Return what this half saw."""
        last = max(self._bins, default=-1)
        return Report(
            started_ns=self.started_ns,
            connected_ns=self._connected_ns,
            finished_ns=self._last_read_ns or self._connected_ns,
            sent=self._sent.flow(),
            received=self._received.flow(),
            longest_gap_ns=self._longest_gap_ns,
            bins=tuple(self._bins[index] for index in range(last + 1)),
            samples_ns=tuple(samples_ns),
            view=self._view,
        )

    async def _read(self, reader: asyncio.StreamReader, most: int) -> bytes:
        self._activity.waiting_for = f"data after {self._received.octets} octets"
        data = await reader.read(most)
        if data:
            now = now_ns()
            self._received.update(data)
            self._activity.octets = self._received.octets
            self._bins[(now - self.started_ns) // BIN_NS] += len(data)
            if self._last_read_ns is not None:
                self._longest_gap_ns = max(self._longest_gap_ns, now - self._last_read_ns)
            self._last_read_ns = now
        return data


class Listener:
    """The listening side of a half: ``async with Listener(...) as listener``."""

    def __init__(self, stack: Stack, local: tuple[str, int], activity: Activity) -> None:
        self._stack = stack
        self._local = local
        self._activity = activity
        self._accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.Queue()
        )
        self._server: Server | None = None

    async def __aenter__(self) -> Listener:
        self._server = await self._stack.listen(self._accept, self._local)
        self._activity.on_ready(self._server.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def accept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Wait for the next connection."""
        self._activity.waiting_for = "a connection"
        return await self._accepted.get()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._accepted.put_nowait((reader, writer))


async def limited(half: Coroutine[Any, Any, T], activity: Activity, limit_ns: int) -> T:
    """Run a half; whatever stops it is a WorkloadError that says what it was waiting for."""
    try:
        async with asyncio.timeout(limit_ns / 1e9):
            return await half
    except TimeoutError:
        raise WorkloadError(
            f"the {activity.role} was still waiting for {activity.waiting_for} "
            f"when its {limit_ns / 1e9:g} s were over"
        ) from None
    except OSError as error:
        raise WorkloadError(
            f"the {activity.role} was waiting for {activity.waiting_for}: {error}"
        ) from error
