"""Runs on this kernel: a fresh sandbox for each, and the workload in it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from testbed.document import Document
from testbed.errors import TestbedError, WorkloadError
from testbed.experiment import evidence
from testbed.experiment.evidence import Seen
from testbed.experiment.launcher import Launcher
from testbed.experiment.processors import Processors, doubt
from testbed.experiment.programs import Programs
from testbed.experiment.proof import judge
from testbed.experiment.record import Finished, Start, finished, note_events
from testbed.experiment.sampling import INTERVAL_NS, Sampling
from testbed.experiment.spec import ExperimentSpec
from testbed.experiment.timeline import Timeline
from testbed.experiment.venue import Assignment
from testbed.probe.job import Job
from testbed.sandbox import Sandbox
from testbed.topology.plan import plan
from testbed.units import format_time
from testbed.workload import stacks
from testbed.workload.run import run as run_workload

_AROUND_S: Final = 60.0  # what building, probing and taking down may take beside the workload


class Sandboxed:
    """Runs in sandboxes on this kernel."""

    @property
    def stacks(self) -> tuple[str, ...]:
        """The stacks there are workers for, and pairs of those that understand one another."""
        return (*stacks.names(), *stacks.pairs())

    def check(self, written: Document[ExperimentSpec]) -> None:
        """Accept everything."""

    def run_once(self, run: Assignment) -> Finished:
        """Carry out one run in a sandbox of its own."""
        seen, start = Seen(), Start()
        asyncio.run(_bounded(run, seen))
        scenario, ends = run.scenario, stacks.ends(run.planned.cell.stack)
        nodes = (scenario.workload.source, scenario.workload.target)
        ours = tuple(node for node, end in zip(nodes, ends, strict=True) if not end.in_kernel)
        judgement = judge(evidence.of(scenario, seen, protocol=ends[0].protocol, ours=ours))
        return finished(scenario, run.planned, seen, judgement, start)


VENUE = Sandboxed()


async def _bounded(run: Assignment, seen: Seen) -> None:
    limit_ns = run.spec.timeout_ns
    try:
        async with asyncio.timeout(limit_ns / 1e9 + _AROUND_S):
            await _observe(run, seen)
    except TimeoutError:
        seen.failure = f"the run was not over after {format_time(limit_ns)} and a minute"


async def _observe(run: Assignment, seen: Seen) -> None:
    """Build the network, run the workload in it, and note everything in ``seen``."""
    spec, scenario, planned = run.spec, run.scenario, run.planned
    nodes = evidence.nodes(scenario.workload)
    async with await Sandbox.create() as sandbox, Launcher(sandbox) as launcher:
        await sandbox.execute(plan(scenario.topology, engine=spec.wire, seed=planned.seed))
        programs = Programs(sandbox)
        processors = Processors()
        timeline = Timeline(scenario.timeline, programs.carry_out, on_zero=processors.begin)
        sampling = Sampling(sandbox, scenario.topology)
        with contextlib.closing(sampling), contextlib.closing(programs):
            await sampling.start(launcher, _job(run, nodes))
            seen.before = await sandbox.observe(nodes)
            try:
                async with timeline.playing():
                    seen.result = await run_workload(
                        scenario.workload,
                        stack=planned.cell.stack,
                        address=scenario.address,
                        launcher=launcher,
                        seed=planned.seed,
                        timeout_ns=spec.timeout_ns,
                        on_progress=timeline.started_by(run.on_progress),
                    )
            except WorkloadError as error:
                seen.failure = str(error)
            seen.zero_ns = timeline.zero_ns
            seen.busy = processors.busy()
            if seen.result is not None:
                seen.doubt = doubt(seen.busy, seen.result.metrics)
            seen.after = await sandbox.observe(nodes)
            seen.wires = await sandbox.wires()
            note_events(seen, await programs.judged(timeline.records), timeline.unplayed)
            await _finish(sampling, seen)
            seen.logs = launcher.logs | programs.logs


async def _finish(sampling: Sampling, seen: Seen) -> None:
    """End the probes; what went wrong with them spoils the run."""
    try:
        await sampling.stop()
    except TestbedError as error:
        seen.doubt = f"the probes failed: {error}"
    seen.records = sorted(sampling.records(), key=lambda record: record.t_ns)
    seen.cpu = {
        "emulator": seen.wires.emulator_cpu_s if seen.wires else 0.0,
        "sampler": sampling.summary.cpu_s if sampling.summary else 0.0,
    }


def _job(run: Assignment, nodes: tuple[str, ...]) -> Job:
    """Return what the probes shall do."""
    spec, scenario = run.spec, run.scenario
    if not scenario.captures:
        return Job(probes=spec.probes, nodes=nodes, interval_ns=INTERVAL_NS)
    pcap = {"folder": str(run.directory.absolute()), "interfaces": scenario.captures}
    return Job(
        probes=(*spec.probes, "pcap"),
        nodes=tuple(dict.fromkeys((*nodes, *scenario.captures))),
        interval_ns=INTERVAL_NS,
        options={"pcap": pcap},
    )
