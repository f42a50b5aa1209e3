"""One run: a fresh sandbox, the workload in it, and the record of what happened."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from testbed.errors import TestbedError, WorkloadError
from testbed.experiment import evidence
from testbed.experiment.evidence import Seen
from testbed.experiment.launcher import Launcher
from testbed.experiment.matrix import PlannedRun
from testbed.experiment.proof import judge
from testbed.experiment.sampling import INTERVAL_NS, Sampling
from testbed.experiment.scenario import Scenario
from testbed.experiment.spec import ExperimentSpec
from testbed.experiment.timeline import Timeline
from testbed.probe.job import Job
from testbed.results.model import RunRecord, Status
from testbed.sandbox import Sandbox
from testbed.topology.plan import plan
from testbed.units import format_time
from testbed.workload.result import OnProgress, Progress
from testbed.workload.run import run as run_workload

_AROUND_S: Final = 60.0  # what building, probing and taking down may take beside the workload


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """A run, and what belongs into its directory beside the record."""

    record: RunRecord
    files: dict[str, bytes]


async def run_once(
    spec: ExperimentSpec,
    scenario: Scenario,
    planned: PlannedRun,
    directory: Path,
    on_progress: OnProgress,
) -> Finished:
    """Carry out one run; whatever the workload does, there is a record of it.

    :param directory: where packet captures go.
    :raises TestbedError: the sandbox or a probe cannot be had, so that no other run would fare
        better.
    """
    seen, start = Seen(), _Start()
    try:
        async with asyncio.timeout(spec.timeout_ns / 1e9 + _AROUND_S):
            await _observe(spec, scenario, planned, directory, seen, on_progress)
    except TimeoutError:
        seen.failure = f"the run was not over after {format_time(spec.timeout_ns)} and a minute"
    record = _record(scenario, planned, seen, start)
    files = {"series.jsonl": evidence.series(seen)} | seen.logs
    if seen.result and seen.result.samples_ns:
        files["samples.json"] = msgspec.json.encode(seen.result.samples_ns)
    return Finished(record=record, files=files)


class _Start:
    """How things were before the run."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)
        self.ns = time.monotonic_ns()
        self.load = os.getloadavg()[0]


def _record(scenario: Scenario, planned: PlannedRun, seen: Seen, start: _Start) -> RunRecord:
    judgement = judge(evidence.of(scenario, planned.cell.stack, seen))
    doubt = seen.doubt or judgement.invalid
    emulator_cpu_s = seen.wires.emulator_cpu_s if seen.wires else 0.0
    return RunRecord(
        number=planned.number,
        cell=planned.cell.index,
        stack=planned.cell.stack,
        parameters=planned.cell.parameters,
        repetition=planned.repetition,
        seed=planned.seed,
        status=Status.FAILED if seen.failure else Status.INVALID if doubt else Status.OK,
        reason=seen.failure or doubt,
        started_at=start.at.isoformat(timespec="milliseconds"),
        seconds=(time.monotonic_ns() - start.ns) / 1e9,
        zero_ns=seen.zero_ns,
        metrics=seen.result.metrics if seen.result else {},
        proof=judgement.proof,
        events=seen.events,
        wires=evidence.wires(scenario.topology, seen.wires),
        counters=evidence.moved(seen.before, seen.after),
        sysctls=evidence.sysctls(seen.after),
        cpu={"emulator": emulator_cpu_s, "sampler": seen.sampler_cpu_s},
        load=(start.load, os.getloadavg()[0]),
        details=seen.result.details if seen.result else {},
    )


async def _observe(
    spec: ExperimentSpec,
    scenario: Scenario,
    planned: PlannedRun,
    directory: Path,
    seen: Seen,
    on_progress: OnProgress,
) -> None:
    """Build the network, run the workload in it, and note everything in ``seen``."""
    nodes = evidence.nodes(scenario.workload)
    async with await Sandbox.create() as sandbox, Launcher(sandbox) as launcher:
        await sandbox.execute(plan(scenario.topology, engine=spec.wire, seed=planned.seed))
        zero: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        timeline = Timeline(scenario.timeline, zero, sandbox)
        sampling = Sampling(sandbox, scenario.topology)
        with contextlib.closing(sampling), contextlib.closing(timeline):
            await sampling.start(launcher, _job(spec, scenario, nodes, directory))
            seen.before = await sandbox.observe(nodes)
            try:
                async with _beside(timeline.play()):
                    seen.result = await run_workload(
                        scenario.workload,
                        stack=planned.cell.stack,
                        address=scenario.address,
                        launcher=launcher,
                        seed=planned.seed,
                        timeout_ns=spec.timeout_ns,
                        on_progress=_starting(zero, on_progress),
                    )
            except WorkloadError as error:
                seen.failure = str(error)
            seen.zero_ns = zero.result() if zero.done() else None
            seen.after = await sandbox.observe(nodes)
            seen.wires = await sandbox.wires()
            await _finish(timeline, sampling, seen)
            seen.logs = launcher.logs | timeline.logs


async def _finish(timeline: Timeline, sampling: Sampling, seen: Seen) -> None:
    """End the time line and the probes; what went wrong with either spoils the run."""
    seen.events = await timeline.finish()
    for event in seen.events:
        if event.error is not None and seen.failure is None:
            seen.failure = f"event `{event.action}`: {event.error}"
    for action in timeline.unplayed:
        if seen.doubt is None:
            seen.doubt = (
                f"the workload ended before the event at {format_time(action.at_ns)} "
                f"(`{action.text}`)"
            )
    try:
        await sampling.stop()
    except TestbedError as error:
        seen.doubt = f"the probes failed: {error}"
    seen.records = sorted(sampling.records(), key=lambda record: record["t_ns"])
    seen.sampler_cpu_s = sampling.summary.cpu_s if sampling.summary else 0.0


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do ``work`` until the context ends, and no longer."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()


def _starting(zero: asyncio.Future[int], on_progress: OnProgress) -> OnProgress:
    """The first progress of a workload gives the zero of the time line."""

    def progressed(progress: Progress) -> None:
        if not zero.done():
            zero.set_result(progress.started_ns)
        on_progress(progress)

    return progressed


def _job(spec: ExperimentSpec, scenario: Scenario, nodes: tuple[str, ...], directory: Path) -> Job:
    """Return what the probes shall do."""
    if not scenario.captures:
        return Job(probes=spec.probes, nodes=nodes, interval_ns=INTERVAL_NS)
    pcap = {"folder": str(directory.absolute()), "interfaces": scenario.captures}
    return Job(
        probes=(*spec.probes, "pcap"),
        nodes=tuple(dict.fromkeys((*nodes, *scenario.captures))),
        interval_ns=INTERVAL_NS,
        options={"pcap": pcap},
    )
