"""Runs in a simulated network: on a virtual clock, without a kernel, the same again each time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from testbed.document import Document, join_path
from testbed.errors import PlatformError, SimulationError, WorkloadError
from testbed.experiment import evidence
from testbed.experiment.events import Action
from testbed.experiment.evidence import Seen
from testbed.experiment.proof import judge
from testbed.experiment.record import Finished, Start, finished, note_events
from testbed.experiment.simulated_sampling import SimulatedSampling, view
from testbed.experiment.spec import ExperimentSpec
from testbed.experiment.timeline import Timeline
from testbed.experiment.venue import Assignment
from testbed.sim.endpoints import ENDPOINTS, PROTOCOLS
from testbed.sim.host import Host
from testbed.sim.loop import VirtualLoop
from testbed.sim.network import Network
from testbed.stack.packet.address import Address
from testbed.workload import together
from testbed.workload.result import OnProgress, WorkloadResult
from testbed.workload.spec import Bulk, Command, Iperf3, ReqRes, Stream
from testbed.workload.stacks import Look, OnConnection, Server, Streams

_LINGER_S: Final = 1.0  # for connections to be closed, so that captures show it


class Simulated:
    """Runs on a virtual clock."""

    stacks = tuple(ENDPOINTS)

    def check(self, written: Document[ExperimentSpec]) -> None:
        """Refuse programs, and endpoints that change while a connection lives."""
        spec = written.value
        if isinstance(spec.workload, Iperf3 | Command):
            kind = spec.workload.__struct_config__.tag
            hint = "kinds that can be simulated: bulk, reqres, stream"
            raise written.error(f"{kind!r} starts programs", "workload.kind", hint)
        for index, event in enumerate(spec.events):
            for name in ("run", "add_endpoint", "remove_endpoint"):
                if getattr(event, name):
                    path = join_path("events", index, name)
                    raise written.error("cannot be simulated", path)

    def run_once(self, run: Assignment) -> Finished:
        """Carry out one run in a network of its own."""
        seen, start = Seen(), Start()
        began = time.process_time()
        try:
            with asyncio.Runner(loop_factory=VirtualLoop) as runner:
                runner.run(_observe(run, seen))
        except SimulationError as error:
            seen.failure = str(error)
        seen.cpu = {"simulator": time.process_time() - began}
        judgement = judge(
            evidence.of(
                run.scenario,
                seen,
                protocol=PROTOCOLS[run.planned.cell.stack],
                ours=evidence.nodes(run.scenario.workload),
                simulated=True,
            )
        )
        return finished(run.scenario, run.planned, seen, judgement, start)


VENUE = Simulated()


async def _observe(run: Assignment, seen: Seen) -> None:
    """Build the network, run the workload in it, and note everything in ``seen``."""
    scenario, planned = run.scenario, run.planned
    stack, loop = planned.cell.stack, cast("VirtualLoop", asyncio.get_running_loop())
    network = Network(scenario.topology, ENDPOINTS[stack], loop=loop, seed=planned.seed)

    async def carry_out(_: int, action: Action) -> None:
        network.execute(action.operations)

    timeline = Timeline(scenario.timeline, carry_out)
    sampling = SimulatedSampling(network, evidence.nodes(scenario.workload), run.spec.probes)
    with _capturing(network, scenario.captures, run.directory):
        try:
            async with timeline.playing(), sampling.beside():
                seen.result = await _workload(network, run, timeline.started_by(run.on_progress))
        except WorkloadError as error:
            seen.failure = str(error)
        await asyncio.sleep(_LINGER_S)
    seen.zero_ns = timeline.zero_ns
    seen.wires = network.wires()
    seen.records = sampling.records
    note_events(seen, timeline.records, timeline.unplayed)


async def _workload(network: Network, run: Assignment, on_progress: OnProgress) -> WorkloadResult:
    workload = cast("Bulk | ReqRes | Stream", run.scenario.workload)  # see Simulated.check
    source, target = (
        SimulatedStack(run.planned.cell.stack, network.hosts[node])
        for node in (workload.source, workload.target)
    )
    return await together.run(
        workload,
        source,
        target,
        address=run.scenario.address,
        seed=run.planned.seed,
        timeout_ns=run.spec.timeout_ns,
        on_progress=on_progress,
    )


@contextlib.contextmanager
def _capturing(
    network: Network, captures: Mapping[str, Sequence[str]], directory: Path
) -> Iterator[None]:
    """Record packets in files ``NODE-INTERFACE.pcapng``; their times are of the virtual clock."""
    with contextlib.ExitStack() as files:
        for node, interfaces in captures.items():
            for interface in interfaces:
                path = directory / f"{node}-{interface}.pcapng"
                files.enter_context(contextlib.closing(network.capture(node, interface, path)))
        yield


class SimulatedStack:
    """One host's stack, as workloads use it."""

    program_option = None
    in_kernel = False

    def __init__(self, name: str, host: Host) -> None:
        self.name = name
        self.protocol = PROTOCOLS[name]
        self._host = host

    async def prepare(self) -> None:
        """Return: simulated hosts are ready."""

    async def connect(self, remote: tuple[str, int]) -> Streams:
        """Open a connection."""
        return await self._host.connect(Address(*remote))

    async def listen(self, on_connection: OnConnection, local: tuple[str, int]) -> Server:
        """Listen on an address and port."""
        return await self._host.listen(on_connection, Address(*local))

    def command(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Refuse: programs do not run in a simulation."""
        raise PlatformError(
            f"{argv[0]} cannot run in a simulation",
            why="its time would not be virtual",
            instead="run the experiment without --sim",
        )

    def inspect(self, writer: asyncio.StreamWriter) -> dict[str, Any]:
        """Return the connection's own view, under the name of its protocol's probe."""
        return view(writer.get_extra_info("connection"))

    def connections(self) -> Sequence[Look]:
        """Return nothing: the probes of a simulation see its connections."""
        return ()

    async def finish(self) -> None:
        """Return: simulated hosts live as long as their network."""
