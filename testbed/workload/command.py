"""Any programs on any nodes, on the stack under test."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from testbed.errors import WorkloadError
from testbed.workload import own
from testbed.workload.external import (
    Capture,
    before_end,
    captured,
    complaint,
    progress_of_time,
    until_listening,
)
from testbed.workload.flow import Flow
from testbed.workload.launcher import Exit, Launcher
from testbed.workload.program_report import ReportFolder
from testbed.workload.result import OnProgress, WorkloadResult
from testbed.workload.spec import Command, Program
from testbed.workload.stacks.model import Stack
from testbed.workload.stacks.registry import stack
from testbed.workload.transfer import sleep_until

Running = list[tuple[Program, Capture]]

SAID: Final = 64 * 1024  # the last characters of each output that go into the result


@contextlib.asynccontextmanager
async def prepared(
    flow: Flow,
    workload: Command,
    launcher: Launcher,
    seed: int,
    timeout_ns: int,
    on_progress: OnProgress,
) -> AsyncIterator[Programs]:
    """Start all programs except the last in order, each after the previous one is ready.

    Inside the context all programs that the last one needs are ready.

    :raises WorkloadError: a program failed, or was not ready in time.
    """
    words = {
        "{address}": flow.address,
        "{port}": str(workload.port or workload.usual_port),
        "{seed}": str(seed),
    }
    source, target = (stack(end.name, end.decoded) for end in flow.stack.ends)
    stacks = {workload.source: source, workload.target: target}
    with ReportFolder() as reports:  # reports are read after the programs have ended
        async with contextlib.AsyncExitStack() as exits:
            programs = Programs(
                workload,
                stacks,
                launcher,
                words,
                exits,
                reports,
                timeout_ns=timeout_ns,
                on_progress=on_progress,
            )
            try:
                async with asyncio.timeout(timeout_ns / 1e9):
                    for spec in workload.programs[:-1]:
                        await programs.start(spec)
                        await programs.until_ready()
            except TimeoutError:
                raise programs.not_ready() from None
            yield programs


class Programs:
    """The programs of a flow, started or not.

    :param stacks: the stacks of the source and the target. Programs on other nodes use the stack of
        the source.
    :param timeout_ns: how long :meth:`run` may take.
    """

    def __init__(
        self,
        workload: Command,
        stacks: Mapping[str, Stack],
        launcher: Launcher,
        words: Mapping[str, str],
        exits: contextlib.AsyncExitStack,
        reports: ReportFolder,
        *,
        timeout_ns: int,
        on_progress: OnProgress,
    ) -> None:
        self._workload = workload
        self._stacks = stacks
        self._reports = reports
        self._launcher = launcher
        self._words = words
        self._exits = exits
        self._running: Running = []
        self._begun = 0
        self._name = ""
        self._timeout_ns = timeout_ns
        self._on_progress = on_progress

    async def start(self, spec: Program) -> None:
        """Start a program. It is stopped together with the others."""
        self._begun += 1
        self._name = spec.argv[0]
        stack = self._stacks.get(spec.node, self._stacks[self._workload.source])
        report = self._reports.further(spec.node)
        argv = stack.command([_filled(word, self._words) for word in spec.argv], report)
        wanted = spec.ready if isinstance(spec.ready, str) else None
        capture = await self._exits.enter_async_context(
            captured(self._launcher, spec.node, argv, wanted=wanted)
        )
        self._running.append((spec, capture))

    async def until_ready(self) -> None:
        """Wait until the program that was started last is ready."""
        await _until_ready(self._launcher, *self._running[-1])

    def not_ready(self) -> WorkloadError:
        """Return the error for the last started program if it was not ready in time."""
        starting = self._starting()
        late = f"{starting} did not start" if starting else _not_ready(*self._running[-1])
        return WorkloadError(f"{late} within {self._timeout_ns / 1e9:g} s")

    def _starting(self) -> str | None:
        """Return the name of the program that is being started, or ``None``."""
        return None if self._begun == len(self._running) else self._name

    async def run(self, zero_ns: int) -> WorkloadResult:
        """Start the last program on time, wait until the flow is over, and stop the others."""
        workload = self._workload
        try:
            async with asyncio.timeout((self._timeout_ns + workload.start_ns) / 1e9):
                await sleep_until(zero_ns + workload.start_ns)
                await self.start(workload.programs[-1])
                with progress_of_time(self._on_progress, None) as started_ns:
                    exits = await _until_end(self._running)
        except TimeoutError:
            late = f"{self._unfinished()} within {self._timeout_ns / 1e9:g} s"
            raise WorkloadError(late) from None
        finished_ns = time.monotonic_ns()
        await self._exits.aclose()  # stopped programs have reported their CPU time
        running = self._running
        reports = self._reports.read()
        ended = [
            report
            for (_, capture), report in zip(running, reports, strict=True)
            if capture in exits
        ]
        started_ns = reports[-1].begun_ns or started_ns
        finished_ns = max((it.ended_ns or finished_ns for it in ended), default=finished_ns)
        ends = {"source": workload.source, "target": workload.target}
        return WorkloadResult(
            started_ns=started_ns,
            finished_ns=finished_ns,
            records=tuple(self._reports.records()),
            metrics={
                "duration": (finished_ns - started_ns) / 1e9,
                "cpu_source": _cpu(workload.source, running),
                "cpu_target": _cpu(workload.target, running),
                **_own(running),
            },
            details={
                "programs": [
                    _details(spec, capture, exits.get(capture)) for spec, capture in running
                ],
                **self._reports.details(ends),
            },
        )

    def _unfinished(self) -> str:
        starting = self._starting()
        if starting is not None:
            return f"{starting} did not start"
        running = [capture for _, capture in self._running if capture.program.exit is None]
        return f"{', '.join(capture.program.name for capture in running)} did not end"

    async def finish(self) -> None:
        """Do nothing, because programs end by themselves."""


def _filled(argument: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        argument = argument.replace(word, value)
    return argument


async def _until_ready(launcher: Launcher, spec: Program, capture: Capture) -> None:
    if isinstance(spec.ready, int):
        await until_listening(launcher, capture, spec.node, spec.ready)
    elif spec.ready is not None:
        await before_end(capture, capture.found.wait(), f"writing {spec.ready!r}")


async def _until_end(running: Running) -> dict[Capture, Exit]:
    """Wait for a program that ends the run, or for all. Raise any failure at once."""
    waiting = {asyncio.ensure_future(capture.ended()): (spec, capture) for spec, capture in running}
    exits: dict[Capture, Exit] = {}
    pending = set(waiting)
    over = False
    try:
        while pending and not over:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                spec, capture = waiting[task]
                exits[capture] = task.result()
                if task.result().returncode != 0:
                    raise WorkloadError(complaint(capture, task.result()))
                over = over or spec.ends
    finally:
        for task in pending:
            task.cancel()
    return exits


def _not_ready(spec: Program, capture: Capture) -> str:
    if isinstance(spec.ready, int):
        return f"{capture.program.name} did not listen on port {spec.ready}"
    return f"{capture.program.name} did not write {spec.ready!r}"


def _own(running: Running) -> dict[str, float]:
    """Return the metrics that programs printed."""
    found: dict[str, float] = {}
    for spec, capture in running:
        found |= own.read(spec.metrics, capture.text, capture.program.name)
    return found


def _cpu(node: str, running: Running) -> float:
    exits = [capture.program.exit for spec, capture in running if spec.node == node]
    return sum(exit_.cpu_user_s + exit_.cpu_system_s for exit_ in exits if exit_ is not None)


def _details(spec: Program, capture: Capture, exit_: Exit | None) -> dict[str, Any]:
    return {
        "node": spec.node,
        "program": capture.program.name,
        "exit_status": None if exit_ is None else exit_.returncode,  # None if it was stopped
        "stdout": capture.text[-SAID:],
        "stderr": capture.program.stderr[-SAID:],
    }
