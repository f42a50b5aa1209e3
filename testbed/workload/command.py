"""Any programs on any nodes, on the stack under test."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Any, Final

from testbed.errors import WorkloadError
from testbed.workload.external import (
    Capture,
    before_end,
    captured,
    complaint,
    progress_of_time,
    until_listening,
)
from testbed.workload.launcher import Exit, Launcher
from testbed.workload.result import OnProgress, WorkloadResult
from testbed.workload.spec import Command, Program
from testbed.workload.stacks import Stack

Running = list[tuple[Program, Capture]]

SAID: Final = 64 * 1024  # characters of each output that go into the result: the last ones


async def run(
    workload: Command,
    stack: Stack,
    address: str,
    launcher: Launcher,
    seed: int,
    timeout_ns: int,
    on_progress: OnProgress,
) -> WorkloadResult:
    """Start the programs in order, each when the one before is ready; wait; stop what is left.

    The zero of the time line is when the last program was started: by then all it needs is there.
    """
    words = {"{address}": address, "{port}": str(workload.port), "{seed}": str(seed)}
    running: Running = []
    started = False
    async with contextlib.AsyncExitStack() as programs:
        try:
            async with asyncio.timeout(timeout_ns / 1e9):
                for spec in workload.programs:
                    argv = stack.command([_filled(word, words) for word in spec.argv])
                    wanted = spec.ready if isinstance(spec.ready, str) else None
                    capture = await programs.enter_async_context(
                        captured(launcher, spec.node, argv, wanted=wanted)
                    )
                    running.append((spec, capture))
                    if spec is not workload.programs[-1]:
                        await _until_ready(launcher, spec, capture)
                started = True
                with progress_of_time(on_progress, None) as started_ns:
                    exits = await _until_end(running)
        except TimeoutError:
            why = _unfinished(running) if started else _not_ready(*running[-1])
            raise WorkloadError(f"{why} after {timeout_ns / 1e9:g} s") from None
        finished_ns = time.monotonic_ns()
    return WorkloadResult(
        started_ns=started_ns,
        finished_ns=finished_ns,
        metrics={
            "duration": (finished_ns - started_ns) / 1e9,
            "cpu_source": _cpu(workload.source, running),
            "cpu_target": _cpu(workload.target, running),
        },
        details={
            "programs": [_details(spec, capture, exits.get(capture)) for spec, capture in running]
        },
    )


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
    """Wait for a program that ends the run, or for all; any failure is an error at once."""
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


def _unfinished(running: Running) -> str:
    names = [capture.program.name for _, capture in running if capture.program.exit is None]
    return f"{', '.join(names)} had not ended"


def _not_ready(spec: Program, capture: Capture) -> str:
    if isinstance(spec.ready, int):
        return f"{capture.program.name} was to listen on port {spec.ready}: nobody does"
    return f"{capture.program.name} had not written {spec.ready!r}"


def _cpu(node: str, running: Running) -> float:
    exits = [capture.program.exit for spec, capture in running if spec.node == node]
    return sum(exit_.cpu_user_s + exit_.cpu_system_s for exit_ in exits if exit_ is not None)


def _details(spec: Program, capture: Capture, exit_: Exit | None) -> dict[str, Any]:
    return {
        "node": spec.node,
        "program": capture.program.name,
        "exit_status": None if exit_ is None else exit_.returncode,  # None: it was stopped
        "stdout": capture.text[-SAID:],
        "stderr": capture.program.stderr[-SAID:],
    }
