"""The common part of all halves: sending and receiving with a digest, and the report.

This module does not use sockets, processes or the time of day. The only clock is that of the event
loop, which is CLOCK_MONOTONIC on a usual loop and may be virtual.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from typing import Any, Final, cast

import msgspec

from testbed.errors import WorkloadError
from testbed.records import Connection, View
from testbed.streams import PieceReader
from testbed.workload.pauses import Pause, Pauses
from testbed.workload.payload import Flow, Payload, Received
from testbed.workload.stacks.model import Scalar, Streams, Transport

CHUNK: Final = 256 * 1024  # octets per write and read, as asyncio reads from a socket
BIN_NS: Final = 100_000_000
LOOK_NS: Final = 100_000_000  # the shortest time between two looks at a connection during reads


def now_ns() -> int:
    """Return the running event loop's time in nanoseconds."""
    return round(asyncio.get_running_loop().time() * 1e9)


async def sleep_until(due_ns: int) -> int:
    """Sleep until ``due_ns``; return the time of waking, or ``due_ns`` if that is in the past.

    If ``due_ns`` is in the past, the function does not sleep.
    """
    left_ns = due_ns - now_ns()
    if left_ns <= 0:
        return due_ns
    await asyncio.sleep(left_ns / 1e9)
    return max(due_ns, now_ns())


class Activity:
    """The current activity of a half, for its observers.

    :param role: client or server.
    :param on_ready: called when the half listens.
    :param on_start: called when ``started_ns`` is known.
    :param meet: waits until the other half has called it too.
    :param over: an event that is set when a half without an end of its own should finish.
    """

    def __init__(
        self,
        role: str,
        *,
        on_ready: Callable[[], object],
        on_start: Callable[[], object],
        meet: Callable[[], Awaitable[object]],
        over: asyncio.Event | None = None,
    ) -> None:
        self.role = role
        self.over = over or asyncio.Event()
        self.on_ready = on_ready
        self.meet = meet
        self._on_start = on_start
        self._waits: list[Callable[[], str]] = []
        self.started_ns: int | None = None
        self.octets = 0  # received
        self.samples = 0  # transactions answered or blocks received

    @property
    def waiting_for(self) -> str:
        """What the half is waiting for, or was waiting for when it failed."""
        return " and ".join(what() for what in self._waits) or "its next step"

    @contextlib.contextmanager
    def waiting(self, what: str | Callable[[], str]) -> Iterator[None]:
        """Record what the half waits for. It stays on record if the wait fails or is cancelled.

        :param what: a description, or a function that returns the present description.
        """
        said = (lambda: what) if isinstance(what, str) else what
        self._waits.append(said)
        yield
        self._waits.remove(said)

    def start(self, started_ns: int) -> None:
        """Record that the half starts to connect, or has its first connection."""
        self.started_ns = started_ns
        self._on_start()


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """The unit that a job counts, and the total, or ``None`` if it is not known.

    :param unit: octets, transactions or blocks.
    """

    unit: str
    total: int | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The report of one half.

    :param started_ns: when it started to connect or, on the server, had accepted a connection.
    :param connected_ns: when its (first) connection was open.
    :param finished_ns: when it had read the last octet; ``connected_ns`` if it read none.
    :param longest_gap_ns: the longest time between two reads that returned data.
    :param pauses: the longest of those times, each as (length, end).
    :param bins: the octets read per interval of :data:`BIN_NS`. The first interval starts at
        ``started_ns``.
    :param samples_ns: a time per transaction or block, which the job defines.
    :param view: the stack's own view of the (last) connection when it had the most subflows.
    :param used: the actual options of this connection.
    :param further: the same data for further connections.
    """

    started_ns: int
    connected_ns: int
    finished_ns: int
    sent: Flow
    received: Flow
    longest_gap_ns: int
    pauses: tuple[Pause, ...] = ()
    bins: tuple[int, ...]
    samples_ns: tuple[int, ...] = ()
    view: dict[str, Any] = {}
    used: dict[str, Scalar] = {}
    further: tuple[Connection, ...] = ()


class Both(msgspec.Struct, frozen=True, kw_only=True):
    """The two halves of a session.

    :param job: their common task.
    """

    job: Any
    client: Report
    server: Report

    @classmethod
    def of(cls, job: object, reports: Iterable[Report]) -> Both:
        """Combine a client's and a server's report."""
        client, server = reports
        return cls(job=job, client=client, server=server)

    @property
    def finished_ns(self) -> int:
        """The time at which the last octet was read."""
        return max(self.client.finished_ns, self.server.finished_ns)


class Transfer:
    """Both directions of one half, over one connection or several in turn.

    ``seed`` is the seed of the data this half sends, and ends with its role: ``"... client"``.

    As a context manager it aborts a connection that is still open when the half fails, so that the
    peer is informed.
    """

    def __init__(self, stack: Transport, activity: Activity, seed: str, session: int = 0) -> None:
        self._stack = stack
        self._activity = activity
        self._seed = seed
        self._payload = Payload(seed, session)
        self._received = Received(_peers(seed), session)
        self._bins: Counter[int] = Counter()
        self._last_read_ns: int | None = None
        self._pauses = Pauses()
        self._view: dict[str, Any] = {}
        self._used: dict[str, Scalar] = {}
        self._looked_ns = 0
        self._open: asyncio.StreamWriter | None = None
        self._half_closed = self._peer_half_closed = False
        self._connected_ns = 0
        self.started_ns = now_ns()

    def __enter__(self) -> Transfer:
        return self

    def __exit__(self, *_: object) -> None:
        self.abort()

    def abort(self) -> None:
        """Abort the connection, if it is open."""
        if self._open is not None:
            self._open.transport.abort()

    async def connect(self, remote: tuple[str, int], octets: int = 0) -> Streams:
        """Open a connection, and send a number of octets at once.

        :param octets: the number of octets, at most :data:`CHUNK`.
        """
        if self._activity.started_ns is None:
            self._activity.start(self.started_ns)
        data = bytes(self._payload.take(octets))
        with self._activity.waiting(f"a connection to {remote[0]} port {remote[1]}"):
            return self._opened(await self._stack.connect(remote, data))

    async def accept(self, listener: Listener) -> Streams:
        """Wait for a connection. The half starts with the first connection."""
        with self._activity.waiting("a connection"):
            streams = self._opened(await listener.accept())
        if self._activity.started_ns is None:
            self.started_ns = self._connected_ns
            self._activity.start(self.started_ns)
        return streams

    def _opened(self, streams: Streams) -> Streams:
        self._connected_ns = self._connected_ns or now_ns()
        self._open = streams[1]
        self._half_closed = self._peer_half_closed = False
        return streams

    async def send(
        self,
        writer: asyncio.StreamWriter,
        octets: int | None,
        framed: Callable[[memoryview], bytes | memoryview] = lambda data: data,
    ) -> None:
        """Send a number of octets, or without a number until cancelled or told to finish.

        :param framed: returns the data to write for some octets.
        """
        while octets > 0 if octets is not None else not self._activity.over.is_set():
            data = self._payload.take(CHUNK if octets is None else min(octets, CHUNK))
            writer.write(framed(data))
            with self._activity.waiting(f"room to send after {self._payload.octets} octets"):
                await writer.drain()
            await asyncio.sleep(0)  # drain() may not yield: let timers and reads run
            if octets is not None:
                octets -= len(data)

    def turn_to(self, session: int) -> tuple[Flow, Flow]:
        """Change to the streams of another session, from their beginnings.

        :returns: the sent and the received payload of the previous streams.
        """
        before = self._payload.flow(), self._received.flow()
        self._payload = Payload(self._seed, session)
        self._received = Received(_peers(self._seed), session)
        return before

    async def receive(
        self, reader: asyncio.StreamReader, octets: int, *, may_end: bool = False
    ) -> bool:
        """Read a number of octets and return true.

        :param may_end: whether to return false if the peer ended the connection before any octet.
        :raises WorkloadError: the peer ended the connection too early.
        """
        left = octets
        while left > 0:
            data = await self._read(reader, min(left, CHUNK))
            if not data and may_end and left == octets:
                self._peer_half_closed = True
                return False
            if not data:
                raise WorkloadError(
                    f"the peer ended the connection while the {self._activity.role} was waiting "
                    f"for data after {self._received.octets} octets"
                )
            left -= len(data)
        return True

    async def receive_to_end(self, reader: asyncio.StreamReader) -> None:
        """Read until the peer half-closes."""
        with self._activity.waiting(lambda: f"data after {self._received.octets} octets"):
            # No task is woken for each piece, which would take longer than its processing.
            await cast("PieceReader", reader).give_to(self.take)
        self.look()
        self._peer_half_closed = True

    async def read(self, reader: asyncio.StreamReader) -> bytes:
        """Read octets that include more than payload. Return none if the peer has half-closed.

        The caller passes the payload to :meth:`take`.
        """
        data = await self._wait(reader, CHUNK)
        if not data:
            self.look()
            self._peer_half_closed = True
        return data

    def take(self, data: bytes) -> None:
        """Record payload that was read."""
        now = now_ns()
        self._received.update(data)
        self._activity.octets += len(data)
        self._bins[(now - self.started_ns) // BIN_NS] += len(data)
        if self._last_read_ns is not None:
            self._pauses.note(now - self._last_read_ns, now)
        self._last_read_ns = now
        if now - self._looked_ns >= LOOK_NS:
            self.look()

    def half_close(self, writer: asyncio.StreamWriter) -> None:
        """Half-close the connection."""
        self.look()
        self._half_closed = True
        writer.write_eof()

    async def shut(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Close a connection in the directions that are still open, and release it."""
        if not self._half_closed:
            self.half_close(writer)
        if not self._peer_half_closed:
            await self.receive_to_end(reader)
        writer.close()
        with self._activity.waiting("the connection to close"):
            await writer.wait_closed()
        self._open = None

    async def complete(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        samples_ns: Iterable[int] = (),
    ) -> Report:
        """Meet the other half when all data has arrived, close the last connection, and report.

        The method gets the stack's view of the connection when neither half has more to send and
        neither has closed, because after the close a stack removes its subflows.
        """
        with self._activity.waiting("the other half"):
            await self._activity.meet()
            self.look()
            await self._activity.meet()
        await self.shut(reader, writer)
        return self.report(samples_ns)

    def look(self) -> None:
        """Get the stack's view, and keep it unless an earlier view had more subflows.

        A connection loses subflows when it is closed and when paths end, and it may not have them
        yet at the first look.
        """
        if self._open is None or (self._half_closed and self._peer_half_closed):
            return
        self._looked_ns = now_ns()
        view = self._stack.inspect(self._open)
        if _weight(view) >= _weight(self._view):
            self._view, self._used = view, self._stack.used(self._open)

    def report(self, samples_ns: Iterable[int] = ()) -> Report:
        """Return the report of this half so far."""
        last = max(self._bins, default=-1)
        return Report(
            started_ns=self.started_ns,
            connected_ns=self._connected_ns,
            finished_ns=self._last_read_ns or self._connected_ns,
            sent=self._payload.flow(),
            received=self._received.flow(),
            longest_gap_ns=self._pauses.longest_ns,
            pauses=self._pauses.in_order(),
            bins=tuple(self._bins[index] for index in range(last + 1)),
            samples_ns=tuple(samples_ns),
            view=self._view,
            used=self._used,
        )

    async def _read(self, reader: asyncio.StreamReader, most: int) -> bytes:
        data = await self._wait(reader, most)
        if data:
            self.take(data)
        return data

    async def _wait(self, reader: asyncio.StreamReader, most: int) -> bytes:
        with self._activity.waiting(f"data after {self._received.octets} octets"):
            return await reader.read(most)


def _peers(seed: str) -> str:
    """Return the seed of the peer's data. The seeds of the halves end with their roles."""
    for role, other in (("client", "server"), ("server", "client")):
        if seed.endswith(role):
            return seed.removesuffix(role) + other
    return seed


def _weight(view: Mapping[str, Any]) -> tuple[bool, int]:
    """Return the weight of a view. A view with a fallback outweighs all views without one."""
    seen = msgspec.convert(view, View)
    fallback = seen.mptcp_info is not None and seen.mptcp_info.fallback
    return fallback, seen.subflows


@contextlib.asynccontextmanager
async def listening(
    stack: Transport, local: tuple[str, int], activity: Activity
) -> AsyncIterator[Listener]:
    """Listen for as long as the context lasts.

    The listener must outlast the connections, because the kernel accepts a further subflow
    (MP_JOIN) only while the port is open.
    """
    listener = Listener()
    server = await stack.listen(listener.put, local)
    activity.on_ready()
    try:
        yield listener
    finally:
        server.close()


class Listener:
    """A queue of accepted connections."""

    def __init__(self) -> None:
        self._accepted: asyncio.Queue[Streams] = asyncio.Queue()

    def put(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Add a connection. The stack calls this method."""
        self._accepted.put_nowait((reader, writer))

    async def accept(self) -> Streams:
        """Return the next connection."""
        return await self._accepted.get()
