"""The two halves of a built-in kind, each a worker process in its node."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

import msgspec

from testbed.errors import WorkloadError
from testbed.topology.model import Family
from testbed.workload.kinds import Job, kind_of
from testbed.workload.launcher import Launcher
from testbed.workload.messages import AnyMessage, Doing, Done, Failed, Meeting, Ready, Task
from testbed.workload.payload import Flow
from testbed.workload.program import Program, launched
from testbed.workload.result import OnProgress, Progress, Series, WorkloadResult
from testbed.workload.spec import Bulk, ReqRes, Stream
from testbed.workload.transfer import BIN_NS, Report

COMMAND: Final = (sys.executable, "-m", "testbed.workload.worker")
# Any local address: with MPTCP, subflows arrive at addresses other than the one that was dialled.
ANY_ADDRESS: Final = {Family.IPV4: "0.0.0.0", Family.IPV6: "::"}  # noqa: S104 - nodes are private
GRACE_NS: Final = 2_000_000_000  # for a worker to say that its time is over


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
    task = Task(
        role="client",
        stack=stack,
        address=address,
        port=workload.port,
        limit_ns=timeout_ns,
        job=job,
    )
    progress = _Progress(job, on_progress)
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
                        task, role="server", address=ANY_ADDRESS[workload.family]
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
    return _result(workload, job, client_done, server_done)


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


class _Progress:
    """Adds up what the two halves say."""

    def __init__(self, job: Job, on_progress: OnProgress) -> None:
        self._goal = job.goal
        self._on_progress = on_progress
        self._done = {"client": 0, "server": 0}
        self._started_ns: int | None = None

    def client(self, doing: Doing) -> None:
        """Take what the client says."""
        self._started_ns = doing.started_ns
        self._take("client", doing)

    def server(self, doing: Doing) -> None:
        """Take what the server says."""
        self._take("server", doing)

    def _take(self, role: str, doing: Doing) -> None:
        self._done[role] = doing.octets if self._goal.unit == "octets" else doing.samples
        if self._started_ns is not None:
            progress = Progress(
                started_ns=self._started_ns,
                now_ns=doing.now_ns,
                done=sum(self._done.values()),
                total=self._goal.total,
                unit=self._goal.unit,
            )
            self._on_progress(progress)


def verify(client: Report, server: Report) -> None:
    """Compare what was sent with what was received, both ways.

    :raises WorkloadError: they differ, by as little as one bit.
    """
    ways = (
        ("the client", client.sent, "the server", server.received),
        ("the server", server.sent, "the client", client.received),
    )
    for sender, sent, receiver, received in ways:
        if sent != received:
            raise WorkloadError(
                f"{sender} sent {_said(sent)}, but {receiver} received {_said(received)}"
            )


def _said(flow: Flow) -> str:
    return f"{flow.octets} octets with SHA-256 {flow.digest}"


def _result(
    workload: Bulk | ReqRes | Stream, job: Job, client: Done, server: Done
) -> WorkloadResult:
    ends = {
        "source": (workload.source, client),
        "target": (workload.target, server),
    }
    findings = kind_of(job).evaluate(job, client.report, server.report)
    cpu = {f"cpu_{end}": done.cpu_s for end, (_, done) in ends.items()}
    return WorkloadResult(
        started_ns=client.report.started_ns,
        finished_ns=_finished_ns(client.report, server.report),
        metrics=_common(client.report, server.report) | cpu | findings.metrics,
        series=tuple(
            _received(node, done.report) for node, done in ends.values() if done.report.bins
        ),
        samples_ns=findings.samples_ns,
        details={end: _details(node, done) for end, (node, done) in ends.items()},
    )


def _common(client: Report, server: Report) -> dict[str, float]:
    elapsed_ns = max(1, _finished_ns(client, server) - client.started_ns)
    return {
        "goodput": (client.received.octets + server.received.octets) * 8e9 / elapsed_ns,
        "duration": elapsed_ns / 1e9,
        "connect_time": (client.connected_ns - client.started_ns) / 1e9,
        "longest_gap": max(client.longest_gap_ns, server.longest_gap_ns) / 1e9,
    }


def _finished_ns(client: Report, server: Report) -> int:
    return max(client.finished_ns, server.finished_ns)


def _received(node: str, report: Report) -> Series:
    return Series(
        name="received",
        node=node,
        unit="octets",
        start_ns=report.started_ns,
        step_ns=BIN_NS,
        values=report.bins,
    )


def _details(node: str, done: Done) -> dict[str, Any]:
    report = done.report
    return {
        "node": node,
        "sent": msgspec.to_builtins(report.sent),
        "received": msgspec.to_builtins(report.received),
        "view": report.view,
    }
