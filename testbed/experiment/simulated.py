"""Runs in a simulated network: on a virtual clock, without a kernel, and repeatable."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final, cast

import msgspec

from testbed.document import Document, join_path
from testbed.errors import SimulationError, WorkloadError
from testbed.experiment import evidence
from testbed.experiment.events import Action
from testbed.experiment.proof import judge
from testbed.experiment.record import Finished, Start, finished
from testbed.experiment.scenario import Scenario
from testbed.experiment.seen import Seen
from testbed.experiment.simulated_sampling import SimulatedSampling, view
from testbed.experiment.spec import ExperimentSpec
from testbed.experiment.timeline import Timeline
from testbed.experiment.venue import Assignment
from testbed.packet.address import Address
from testbed.sim import endpoints
from testbed.sim.host import EndpointFactory, Host
from testbed.sim.loop import VirtualLoop
from testbed.sim.network import Network
from testbed.stack.connection import Endpoint
from testbed.stack.mptcp.local_network import LocalNetwork
from testbed.topology.model import Node
from testbed.workload import together
from testbed.workload.base import PairedSpec
from testbed.workload.carry import Prepared, no_progress
from testbed.workload.carry import carry_out as carry_out_flows
from testbed.workload.kinds import paired_names
from testbed.workload.result import WorkloadResult
from testbed.workload.stacks._userspace import early_data, used
from testbed.workload.stacks.choice import End
from testbed.workload.stacks.model import OnConnection, Scalar, Server, Streams
from testbed.workload.stacks.registry import KINDS
from testbed.workload.stacks.userspace import mptcp_config, tcp_config
from testbed.workload.transfer import now_ns

_LINGER_S: Final = 1.0  # time in which connections close, so that captures show it


class Simulated:
    """Runs on a virtual clock."""

    stacks = tuple(kind.name for kind in KINDS.values() if not kind.in_kernel)

    def check(self, written: Document[ExperimentSpec]) -> None:
        """Refuse programs."""
        spec = written.value
        for name, flow in spec.named_flows.items():
            if not isinstance(flow, PairedSpec):
                kind = flow.kind
                hint = f"kinds that can be simulated: {', '.join(paired_names())}"
                place = name if spec.workload is not None else join_path("flows", name)
                raise written.error(f"{kind!r} starts programs", f"{place}.kind", hint)
        for index, event in enumerate(spec.events):
            if event.run is not None:
                raise written.error("cannot be simulated", join_path("events", index, "run"))

    def ready(self) -> contextlib.AbstractContextManager[None]:
        """Load nothing, because everything is loaded."""
        return contextlib.nullcontext()

    def run_once(self, run: Assignment) -> Finished:
        """Carry out one run in its own network."""
        seen, start = Seen(), Start()
        began = time.process_time()
        try:
            with asyncio.Runner(loop_factory=VirtualLoop) as runner:
                runner.run(_observe(run, seen))
        except SimulationError as error:
            seen.fail(str(error))
        seen.spent({"simulator": time.process_time() - began})
        scenario = run.scenario
        judgements = {
            planned.flow.name: judge(evidence.of(scenario, planned, seen, simulated=True))
            for planned in scenario.flows
        }
        return finished(scenario, run.planned, seen, judgements, start)


VENUE = Simulated()


async def _observe(run: Assignment, seen: Seen) -> None:
    """Build the network, run the flows in it, and record everything in ``seen``."""
    scenario, planned = run.scenario, run.planned
    loop = cast("VirtualLoop", asyncio.get_running_loop())
    stacks = Stacks(scenario)
    network = Network(scenario.topology, stacks.first, loop=loop, seed=planned.seed)
    network.insert_boxes()

    async def carry_out(_: int, action: Action) -> None:
        network.execute(action.operations)

    timeline = Timeline(scenario.timeline, carry_out)
    sampling = SimulatedSampling(network, scenario.nodes, run.spec.probes)
    with _capturing(network, scenario.captures, run.directory):
        try:
            async with timeline.playing(), sampling.beside():
                seen.carried(await _flows(stacks, network, run, timeline))
        except WorkloadError as error:
            seen.fail(str(error))
        await asyncio.sleep(_LINGER_S)
    sampling.end()
    seen.ended(timeline.zero_ns)
    seen.left(network.wires())
    seen.sampled(sampling.records)
    seen.played(timeline.records, timeline.unplayed)


async def _flows(
    stacks: Stacks, network: Network, run: Assignment, timeline: Timeline
) -> dict[str, WorkloadResult]:
    flows = [planned.flow for planned in run.scenario.flows]
    async with contextlib.AsyncExitStack() as open_flows:
        ready: dict[str, Prepared] = {}
        for flow in flows:
            workload = cast("PairedSpec", flow.workload)  # see Simulated.check
            source, target = (
                stacks.transport(network, node, end)
                for node, end in zip(
                    (workload.source, workload.target), flow.stack.ends, strict=True
                )
            )
            ready[flow.name] = await open_flows.enter_async_context(
                together.prepared(
                    workload,
                    source,
                    target,
                    address=flow.address,
                    seed=run.seeds[flow.name],
                    timeout_ns=run.spec.timeout_ns,
                    on_progress=run.on_progress if flow is flows[0] else no_progress,
                )
            )
        zero_ns = now_ns()
        timeline.begin(zero_ns)
        return await carry_out_flows(flows, ready, zero_ns)


class Stacks:
    """The transports of simulated hosts: one for each stack that flows use there."""

    def __init__(self, scenario: Scenario) -> None:
        self._ends: dict[str, list[End]] = {}
        for planned in scenario.flows:
            workload, choice = planned.flow.workload, planned.flow.stack
            for node, end in zip((workload.source, workload.target), choice.ends, strict=True):
                ends = self._ends.setdefault(node, [])
                if end not in ends:
                    ends.append(end)

    def first(self, node: Node, random: Random, local: LocalNetwork) -> Endpoint:
        """Make the endpoint of a host's first flow, which the host has from the start."""
        ends = self._ends.get(node.name)
        return (_factory(ends[0]) if ends else endpoints.tcp())(node, random, local)

    def transport(self, network: Network, node: str, end: End) -> SimulatedStack:
        """Return the transport for a flow's end."""
        number = self._ends[node].index(end)
        return SimulatedStack(network.stack(node, number, _factory(end)), end.decoded)


def _factory(end: End) -> EndpointFactory:
    chosen = end.decoded
    if end.kind.protocol == "mptcp":
        return endpoints.mptcp(mptcp_config(endpoints.MPTCP, chosen), chosen.subflows)
    return endpoints.tcp(tcp_config(endpoints.DEFAULT, chosen))


@contextlib.contextmanager
def _capturing(
    network: Network, captures: Mapping[str, Sequence[str]], directory: Path
) -> Iterator[None]:
    """Record packets in files ``NODE-INTERFACE.pcapng``, with times of the virtual clock."""
    with contextlib.ExitStack() as files:
        for node, interfaces in captures.items():
            for interface in interfaces:
                path = directory / f"{node}-{interface}.pcapng"
                files.enter_context(contextlib.closing(network.capture(node, interface, path)))
        yield


class SimulatedStack:
    """One host's stack, as flows use it."""

    def __init__(self, host: Host, options: msgspec.Struct) -> None:
        self._host = host
        self._options = options

    async def connect(self, remote: tuple[str, int], data: bytes = b"") -> Streams:
        """Open a connection."""
        early = early_data(self._options, data)
        reader, writer = await self._host.connect(Address(*remote), data=early)
        writer.write(data[len(early) :])
        return reader, writer

    async def listen(self, on_connection: OnConnection, local: tuple[str, int]) -> Server:
        """Listen on an address and port."""
        return await self._host.listen(on_connection, Address(*local))

    def inspect(self, writer: asyncio.StreamWriter) -> dict[str, Any]:
        """Return the connection's own view, under the name of its protocol's probe."""
        return view(writer.get_extra_info("connection"))

    def used(self, writer: asyncio.StreamWriter) -> dict[str, Scalar]:
        """Return the connection's values of the chosen options."""
        return used(writer.get_extra_info("connection"), self._options)
