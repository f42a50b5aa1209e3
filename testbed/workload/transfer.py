"""What the halves of every workload share: sending and receiving with a digest, and the report.

Nothing here knows of sockets, processes or the time of day.  The only clock is the event loop's,
which is CLOCK_MONOTONIC on a usual loop and may be virtual.
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

CHUNK: Final = 256 * 1024  # octets a write and a read: what asyncio takes from a socket at once
BIN_NS: Final = 100_000_000
LOOK_NS: Final = 100_000_000  # the least time between two looks at a connection while it is read


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
    """What a half is doing, for its observers.

    :param role: client or server.
    :param on_ready: called once the half listens.
    :param on_start: called when ``started_ns`` has become known.
    :param meet: returns when the other half has called it too.
    :param over: is set when a half that has no end of its own shall finish.
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
        """What it is waiting for, or was when it failed."""
        return " and ".join(what() for what in self._waits) or "its turn"

    @contextlib.contextmanager
    def waiting(self, what: str | Callable[[], str]) -> Iterator[None]:
        """Wait for something; when that fails or is cancelled, it stays on record.

        :param what: or what tells it, as it is when that is asked.
        """
        said = (lambda: what) if isinstance(what, str) else what
        self._waits.append(said)
        yield
        self._waits.remove(said)

    def start(self, started_ns: int) -> None:
        """Note that the half begins to connect, or has its first connection."""
        self.started_ns = started_ns
        self._on_start()


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
    :param pauses: the longest of those times, each with its end: (length, end).
    :param bins: octets read per interval of :data:`BIN_NS`, the first starting at
        ``started_ns``.
    :param samples_ns: a time per transaction or block; the job says which.
    :param view: the stack's own view of the (last) connection when it had most subflows.
    :param used: the options that this connection really had.
    :param further: the same of further connections.
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

    :param job: what they did.
    """

    job: Any
    client: Report
    server: Report

    @classmethod
    def of(cls, job: object, reports: Iterable[Report]) -> Both:
        """Put a client's and a server's report together."""
        client, server = reports
        return cls(job=job, client=client, server=server)

    @property
    def finished_ns(self) -> int:
        """When the last octet was read."""
        return max(self.client.finished_ns, self.server.finished_ns)


class Transfer:
    """Both directions of one half, over one connection or several after one another.

    ``seed`` is that of what this half sends, and ends with its role: ``"... client"``.

    ``with Transfer(...)``: a connection that is still open when the half fails is aborted, so that
    the peer hears of it.
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
        """Open a connection, and send so many octets at once.

        :param octets: at most :data:`CHUNK`.
        """
        if self._activity.started_ns is None:
            self._activity.start(self.started_ns)
        data = bytes(self._payload.take(octets))
        with self._activity.waiting(f"a connection to {remote[0]} port {remote[1]}"):
            return self._opened(await self._stack.connect(remote, data))

    async def accept(self, listener: Listener) -> Streams:
        """Wait for a connection; the half begins when the first is there."""
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
        """Send a number of octets; without a number until cancelled, or told to finish.

        :param framed: returns what is written for some octets.
        """
        while octets > 0 if octets is not None else not self._activity.over.is_set():
            data = self._payload.take(CHUNK if octets is None else min(octets, CHUNK))
            writer.write(framed(data))
            with self._activity.waiting(f"room to send after {self._payload.octets} octets"):
                await writer.drain()
            await asyncio.sleep(0)  # drain() does not when there is room: let timers and reads run
            if octets is not None:
                octets -= len(data)

    def turn_to(self, session: int) -> tuple[Flow, Flow]:
        """Go on with the streams of another session, from their beginnings.

        :returns: what was sent and received of those before.
        """
        before = self._payload.flow(), self._received.flow()
        self._payload = Payload(self._seed, session)
        self._received = Received(_peers(self._seed), session)
        return before

    async def receive(
        self, reader: asyncio.StreamReader, octets: int, *, may_end: bool = False
    ) -> bool:
        """Read a number of octets and return true.

        :param may_end: return false when the peer ended the connection and none has come.
        :raises WorkloadError: the peer ended the connection before.
        """
        left = octets
        while left > 0:
            data = await self._read(reader, min(left, CHUNK))
            if not data and may_end and left == octets:
                self._peer_half_closed = True
                return False
            if not data:
                raise WorkloadError(
                    f"the {self._activity.role} was waiting for data after "
                    f"{self._received.octets} octets: the peer ended the connection"
                )
            left -= len(data)
        return True

    async def receive_to_end(self, reader: asyncio.StreamReader) -> None:
        """Read until the peer half-closes."""
        with self._activity.waiting(lambda: f"data after {self._received.octets} octets"):
            # No task is woken for each piece: that takes longer than what is done with it.
            await cast("PieceReader", reader).give_to(self.take)
        self.look()
        self._peer_half_closed = True

    async def read(self, reader: asyncio.StreamReader) -> bytes:
        """Read some octets, not all of them payload; none when the peer has half-closed.

        Those that are payload are given to :meth:`take`.
        """
        data = await self._wait(reader, CHUNK)
        if not data:
            self.look()
            self._peer_half_closed = True
        return data

    def take(self, data: bytes) -> None:
        """Take payload that was read."""
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
        """Say that nothing more will be sent."""
        self.look()
        self._half_closed = True
        writer.write_eof()

    async def shut(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Close a connection in both directions, as far as it is not, and let go of it."""
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
        """Meet the other half when all has arrived, close the last connection, and report.

        The stack is asked for its view of the connection when neither half has anything more to
        send and neither has closed: after that a stack tears its subflows down.
        """
        with self._activity.waiting("the other half"):
            await self._activity.meet()
            self.look()
            await self._activity.meet()
        await self.shut(reader, writer)
        return self.report(samples_ns)

    def look(self) -> None:
        """Ask the stack for its view, and keep it unless an earlier one had more subflows.

        A connection loses subflows when it is closed, and when paths end; the first look may come
        before they are there.
        """
        if self._open is None or (self._half_closed and self._peer_half_closed):
            return
        self._looked_ns = now_ns()
        view = self._stack.inspect(self._open)
        if _weight(view) >= _weight(self._view):
            self._view, self._used = view, self._stack.used(self._open)

    def report(self, samples_ns: Iterable[int] = ()) -> Report:
        """Return what this half saw so far."""
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
    """Return the seed of what the peer sends: the halves' end with their roles."""
    for role, other in (("client", "server"), ("server", "client")):
        if seed.endswith(role):
            return seed.removesuffix(role) + other
    return seed


def _weight(view: Mapping[str, Any]) -> tuple[bool, int]:
    """Return how much a view tells: that a connection fell back is never forgotten."""
    seen = msgspec.convert(view, View)
    fallback = seen.mptcp_info is not None and seen.mptcp_info.fallback
    return fallback, seen.subflows


@contextlib.asynccontextmanager
async def listening(
    stack: Transport, local: tuple[str, int], activity: Activity
) -> AsyncIterator[Listener]:
    """Listen for as long as the context lasts.

    It must outlast the connections: the kernel takes a further subflow (MP_JOIN) only while
    somebody listens on the port.
    """
    listener = Listener()
    server = await stack.listen(listener.put, local)
    activity.on_ready()
    try:
        yield listener
    finally:
        server.close()


class Listener:
    """Connections in the order they came."""

    def __init__(self) -> None:
        self._accepted: asyncio.Queue[Streams] = asyncio.Queue()

    def put(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Add a connection; the stack calls this."""
        self._accepted.put_nowait((reader, writer))

    async def accept(self) -> Streams:
        """Return the next connection."""
        return await self._accepted.get()
