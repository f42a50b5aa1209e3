"""The two halves of a built-in kind, each a worker process in its node."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable
from typing import Final

import msgspec

from testbed.errors import WorkloadError
from testbed.workload.halves import ANY_ADDRESS, Tally, result, verify
from testbed.workload.launcher import Launcher
from testbed.workload.messages import AnyMessage, Doing, Done, Failed, Meeting, Ready, Task
from testbed.workload.program import Program, launched
from testbed.workload.result import OnProgress, WorkloadResult
from testbed.workload.spec import Bulk, ReqRes, Stream
from testbed.workload.stacks import ends

COMMAND: Final = (sys.executable, "-m", "testbed.workload.worker")
GRACE_NS: Final = 10_000_000_000  # for a worker to start, and to say that its time is over


async def run(
    workload: Bulk | ReqRes | Stream,
    stack: str,
    address: str,
    launcher: Launcher,
    seed: int,
    timeout_ns: int,
    on_progress: OnProgress,
) -> WorkloadResult:
    """Start both workers, let the client begin when the server listens, and compare."""
    job = workload.resolve(seed)
    source_stack, target_stack = (end.name for end in ends(stack))
    task = Task(
        role="client",
        stack=source_stack,
        address=address,
        port=workload.port,
        limit_ns=timeout_ns,
        job=job,
    )
    progress = Tally(job, on_progress)
    async with (
        launched(launcher, workload.target, COMMAND, f"the server on {workload.target}") as target,
        launched(launcher, workload.source, COMMAND, f"the client on {workload.source}") as source,
    ):
        both = asyncio.Barrier(2)
        server = _Worker(target, both, progress.server)
        client = _Worker(source, both, progress.client)
        try:
            async with asyncio.timeout((timeout_ns + GRACE_NS) / 1e9):
                await server.give(
                    msgspec.structs.replace(
                        task,
                        role="server",
                        stack=target_stack,
                        address=ANY_ADDRESS[workload.family],
                    )
                )
                await server.ready()
                await client.give(task)
                client_done, server_done = await _both(client, server)
        except TimeoutError:
            raise WorkloadError(
                f"{source.name} and {target.name} did not say within "
                f"{timeout_ns / 1e9:g} s how they fared"
            ) from None
    verify(client_done.report, server_done.report)
    cpu = {"cpu_source": client_done.cpu_s, "cpu_target": server_done.cpu_s}
    return result(workload, job, client_done.report, server_done.report, cpu)


class _Worker:
    """The near end of a worker process."""

    def __init__(
        self, program: Program, both: asyncio.Barrier, on_doing: Callable[[Doing], None]
    ) -> None:
        self.program = program
        self._both = both
        self._on_doing = on_doing
        self._lines = program.lines()

    async def give(self, task: Task) -> None:
        """Give it its task; if it has died, reading from it says so."""
        stdin = self.program.running.stdin
        with contextlib.suppress(ConnectionError):
            stdin.write(msgspec.json.encode(task) + b"\n")
            await stdin.drain()

    async def ready(self) -> None:
        """Wait until it listens."""
        message = await self._next()
        if not isinstance(message, Ready):
            raise WorkloadError(f"{self.program.name} did not listen but said {message}")

    async def done(self) -> Done:
        """Wait until its half is finished."""
        while True:
            match await self._next():
                case Done() as done:
                    return done
                case Doing() as doing:
                    self._on_doing(doing)
                case Meeting():
                    with contextlib.suppress(asyncio.BrokenBarrierError):
                        await self._both.wait()
                        self.program.running.stdin.write(b"\n")

    async def interrupt(self) -> None:
        """Make it say what it waits for, and end."""
        await self._both.abort()
        await self.program.running.kill(signal.SIGTERM)

    async def _next(self) -> AnyMessage:
        line = await anext(self._lines, None)
        if line is None:
            raise await self.program.died()
        message: AnyMessage = msgspec.json.decode(line, type=AnyMessage)
        if isinstance(message, Failed):
            raise message.failure.error()
        return message


async def _both(client: _Worker, server: _Worker) -> tuple[Done, Done]:
    """Wait for both; when one fails, the error says what each of them was waiting for."""
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
    for error in errors:
        if not isinstance(error, WorkloadError):
            raise error
    if errors:
        raise WorkloadError("; ".join(str(error) for error in errors))
    client_half, server_half = workers
    return client_half.result(), server_half.result()
