"""The two halves of a flow, each a worker process in its node."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import msgspec

from testbed.errors import InputError, WorkloadError
from testbed.workload.base import PairedSpec
from testbed.workload.flow import Flow
from testbed.workload.half import CLIENT, SERVER, first
from testbed.workload.halves import ANY_ADDRESS, Tally, paired, result
from testbed.workload.launcher import Launcher
from testbed.workload.messages import (
    AnyMessage,
    Begin,
    Doing,
    Done,
    Failed,
    Finish,
    Meeting,
    Met,
    Order,
    Ready,
    Task,
)
from testbed.workload.program import Program, launched
from testbed.workload.result import OnProgress, WorkloadResult
from testbed.workload.session import Session

COMMAND: Final = (sys.executable, "-m", "testbed.workload.worker")
GRACE_NS: Final = 10_000_000_000  # time for a worker to start, and to report a timeout


@contextlib.asynccontextmanager
async def prepared(
    flow: Flow,
    workload: PairedSpec,
    launcher: Launcher,
    seed: int,
    timeout_ns: int,
    on_progress: OnProgress,
) -> AsyncIterator[Pair]:
    """Start both workers. Inside the context the server listens, and the client is ready.

    :raises WorkloadError: a worker did not become ready.
    """
    sessions = workload.sessions(seed)
    tally = Tally(sessions, on_progress)
    barriers = [asyncio.Barrier(2) for _ in sessions]
    async with (
        launched(launcher, workload.target, COMMAND, f"the server on {workload.target}") as target,
        launched(launcher, workload.source, COMMAND, f"the client on {workload.source}") as source,
    ):
        server = _Worker(target, barriers, tally.server)
        client = _Worker(source, barriers, tally.client)
        task = Task(
            role=SERVER,
            stack=flow.stack.target,
            address=ANY_ADDRESS[workload.family],
            port=workload.port or workload.usual_port,
            limit_ns=timeout_ns,
            sessions=sessions,
        )
        pair = Pair(workload, sessions, client, server, timeout_ns)
        try:
            async with asyncio.timeout((timeout_ns + GRACE_NS) / 1e9):
                await server.give(task)
                await server.ready()
                dialling = msgspec.structs.replace(
                    task, role=CLIENT, stack=flow.stack.source, address=flow.address
                )
                await client.give(dialling)
                await client.ready()
        except TimeoutError:
            raise pair.silent() from None
        yield pair


class Pair:
    """The workers of one flow."""

    def __init__(
        self,
        workload: PairedSpec,
        sessions: Sequence[Session],
        client: _Worker,
        server: _Worker,
        timeout_ns: int,
    ) -> None:
        self._workload = workload
        self._sessions = sessions
        self._client = client
        self._server = server
        self._timeout_ns = timeout_ns

    async def run(self, zero_ns: int) -> WorkloadResult:
        """Start the run at ``zero_ns`` of CLOCK_MONOTONIC, wait for both ends, and compare."""
        try:
            async with asyncio.timeout((self._timeout_ns + GRACE_NS) / 1e9):
                for worker in (self._server, self._client):
                    await worker.tell(Begin(zero_ns=zero_ns))
                client, server = await _both(self._client, self._server)
        except TimeoutError:
            raise self.silent() from None
        sessions = paired(self._sessions, client.reports, server.reports)
        cpu = {"cpu_source": client.cpu_s, "cpu_target": server.cpu_s}
        looks = {"source": client.looks, "target": server.looks}
        counters = {"source": client.counters, "target": server.counters}
        return result(self._workload, sessions, cpu, looks, counters)

    async def finish(self) -> None:
        """Tell the flow to end, if it has no end of its own."""
        for worker in (self._client, self._server):
            await worker.tell(Finish())

    def silent(self) -> WorkloadError:
        """Return the error for workers that did not report in time."""
        return WorkloadError(
            f"{self._client.program.name} and {self._server.program.name} did not report within "
            f"{self._timeout_ns / 1e9:g} s"
        )


class _Worker:
    """The parent's side of a worker process."""

    def __init__(
        self,
        program: Program,
        barriers: Sequence[asyncio.Barrier],
        on_doing: Callable[[Doing], None],
    ) -> None:
        self.program = program
        self._barriers = barriers
        self._on_doing = on_doing
        self._lines = program.lines()
        self._meetings: set[asyncio.Task[None]] = set()

    async def give(self, task: Task) -> None:
        """Send the worker its task. If the worker has died, the next read raises an error."""
        await self._write(task)

    async def tell(self, order: Order) -> None:
        """Send the worker an order."""
        await self._write(order)

    async def ready(self) -> None:
        """Wait until the worker listens, or is ready to connect."""
        message = await self._next()
        if not isinstance(message, Ready):
            raise WorkloadError(f"{self.program.name} sent {message} instead of getting ready")

    async def done(self) -> Done:
        """Wait until the half of the worker has finished."""
        while True:
            match await self._next():
                case Done() as done:
                    return done
                case Doing() as doing:
                    self._on_doing(doing)
                case Meeting(session=session):
                    meeting = asyncio.ensure_future(self._meet(session))
                    self._meetings.add(meeting)
                    meeting.add_done_callback(self._meetings.discard)

    async def interrupt(self) -> None:
        """Make the worker report what it waits for, and end."""
        for barrier in self._barriers:
            await barrier.abort()
        await self.program.running.kill(signal.SIGTERM)

    async def _meet(self, session: int) -> None:
        with contextlib.suppress(asyncio.BrokenBarrierError):
            await self._barriers[session].wait()
            await self._write(Met(session=session))

    async def _write(self, value: Task | Order) -> None:
        stdin = self.program.running.stdin
        with contextlib.suppress(ConnectionError):
            stdin.write(msgspec.json.encode(value) + b"\n")
            await stdin.drain()

    async def _next(self) -> AnyMessage:
        line = await anext(self._lines, None)
        if line is None:
            raise await self.program.died()
        message: AnyMessage = msgspec.json.decode(line, type=AnyMessage)
        if isinstance(message, Failed):
            error = message.failure.error()
            if isinstance(error, InputError):  # an error of the node: the file has been checked
                raise InputError(f"{self.program.name}: {error.message}", hint=error.hint)
            raise error
        return message


async def _both(client: _Worker, server: _Worker) -> tuple[Done, Done]:
    """Wait for both workers. If one fails, the error reports what each was waiting for."""
    workers = {asyncio.ensure_future(worker.done()): worker for worker in (client, server)}
    try:
        await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
        for half, worker in workers.items():
            if not half.done():
                await worker.interrupt()
        await asyncio.wait(workers)
    finally:
        for half in workers:
            half.cancel()
    errors = [error for half in workers if (error := half.exception()) is not None]
    if errors:
        raise first(errors)
    client_half, server_half = workers
    return client_half.result(), server_half.result()
