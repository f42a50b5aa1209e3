"""Runs on this kernel, each in a new sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from typing import Final

from testbed.document import Document, join_path
from testbed.errors import SandboxError, TestbedError, WorkloadError
from testbed.experiment import evidence
from testbed.experiment.alike import common, with_congestion
from testbed.experiment.launcher import Launcher
from testbed.experiment.nursery import nursery
from testbed.experiment.processors import Processors, doubt
from testbed.experiment.programs import Programs
from testbed.experiment.proof import judge
from testbed.experiment.record import Finished, Start, finished
from testbed.experiment.sampling import INTERVAL_NS, Sampling
from testbed.experiment.seen import Seen
from testbed.experiment.spec import ExperimentSpec
from testbed.experiment.timeline import Timeline
from testbed.experiment.venue import Assignment
from testbed.probe.job import Job
from testbed.sandbox import Sandbox, hooks
from testbed.topology.model import Topology
from testbed.topology.plan import plan
from testbed.units import format_time
from testbed.workload.flow import WORKLOAD
from testbed.workload.run import run_flows
from testbed.workload.spec import Command
from testbed.workload.stacks import registry as stacks

_AROUND_S: Final = 60.0  # time for building, probing and taking down, beside the workload


class Sandboxed:
    """Runs in sandboxes on this kernel."""

    @property
    def stacks(self) -> tuple[str, ...]:
        """The names of the stacks that have workers."""
        return stacks.names()

    def check(self, written: Document[ExperimentSpec]) -> None:
        """Refuse programs that this machine lacks."""
        spec = written.value
        for index, event in enumerate(spec.events):
            if event.run is not None:
                _check_program(written, event.run[0], join_path("events", index, "run"))
        for name, flow in spec.named_flows.items():
            if isinstance(flow, Command):
                place = WORKLOAD if spec.workload is not None else join_path("flows", name)
                for number, program in enumerate(flow.programs):
                    where = f"{place}.{join_path('programs', number, 'argv')}"
                    _check_program(written, program.argv[0], where)

    def ready(self) -> contextlib.AbstractContextManager[None]:
        """Start the process that creates the sandboxes."""
        return nursery()

    def run_once(self, run: Assignment) -> Finished:
        """Carry out one run in a sandbox of its own."""
        seen, start = Seen(), Start()
        asyncio.run(_bounded(run, seen))
        scenario = run.scenario
        judgements = {
            planned.flow.name: judge(evidence.of(scenario, planned, seen))
            for planned in scenario.flows
        }
        return finished(scenario, run.planned, seen, judgements, start)


VENUE = Sandboxed()


def _check_program(written: Document[ExperimentSpec], name: str, place: str) -> None:
    if shutil.which(name) is None:
        message = f"there is no program {name!r} on this machine"
        raise written.error(message, place, "install it, or give its path")


async def _bounded(run: Assignment, seen: Seen) -> None:
    limit_ns = run.spec.timeout_ns
    try:
        async with asyncio.timeout(limit_ns / 1e9 + _AROUND_S):
            await _observe(run, seen)
    except TimeoutError:
        seen.fail(f"the run did not end within {format_time(limit_ns)} and one minute")


async def _observe(run: Assignment, seen: Seen) -> None:
    """Build the network, run the workload in it, and record everything in ``seen``."""
    spec, scenario, planned = run.spec, run.scenario, run.planned
    nodes = scenario.nodes
    async with await Sandbox.create() as sandbox, Launcher(sandbox) as launcher:
        topology = with_congestion(scenario.topology, common())
        await sandbox.execute(plan(topology, engine=spec.wire, seed=planned.seed))
        if not await _set_up(sandbox, topology, seen):
            return
        programs = Programs(sandbox)
        processors = Processors()
        timeline = Timeline(scenario.timeline, programs.carry_out, on_zero=processors.begin)
        sampling = Sampling(sandbox, scenario.topology)
        with contextlib.closing(sampling), contextlib.closing(programs):
            await sampling.start(launcher, _job(run, nodes))
            seen.began(await sandbox.observe(nodes))
            try:
                async with timeline.playing():
                    results = await run_flows(
                        [flow.flow for flow in scenario.flows],
                        launcher,
                        run.seeds,
                        spec.timeout_ns,
                        on_progress=run.on_progress,
                        on_zero=timeline.begin,
                    )
                    seen.carried(results)
            except WorkloadError as error:
                seen.fail(str(error))
            busy = processors.busy()
            seen.ended(timeline.zero_ns, busy)
            for result in seen.results.values():
                seen.doubt(doubt(busy, result.metrics))
            after = await sandbox.observe(nodes)
            seen.left(await sandbox.wires(), after)
            seen.played(await programs.judged(timeline.records), timeline.unplayed)
            await _finish(sampling, seen)
            seen.logged(launcher.logs | programs.logs)


async def _set_up(sandbox: Sandbox, topology: Topology, seen: Seen) -> bool:
    """Run the commands of nodes; if one fails, the run has failed."""
    outputs: list[hooks.Output] = []
    try:
        await hooks.set_up(sandbox, topology, outputs)
    except SandboxError as error:
        seen.fail(str(error))
    seen.logged({f"{each.node}-run.log": each.text for each in outputs})
    return seen.failure is None


async def _finish(sampling: Sampling, seen: Seen) -> None:
    """Stop the probes. If they failed, the run fails."""
    try:
        await sampling.stop()
    except TestbedError as error:
        seen.doubt(f"the probes failed: {error}")
    seen.sampled(sorted(sampling.records(), key=lambda record: record.t_ns))
    emulator = seen.wires.emulator_cpu_s if seen.wires else 0.0
    sampler = sampling.summary.cpu_s if sampling.summary else 0.0
    seen.spent({"emulator": emulator, "sampler": sampler})


def _job(run: Assignment, nodes: tuple[str, ...]) -> Job:
    """Return the job of the probes."""
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
