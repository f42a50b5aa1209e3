"""The content of a run's record and proof, derived from the observations of the run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from testbed import records
from testbed.experiment.proof import ConnectionView, Evidence, Lost
from testbed.experiment.scenario import PlannedFlow, Scenario
from testbed.experiment.seen import Seen
from testbed.results.model import BoxRecord, WireRecord
from testbed.topology.forwarding import host
from testbed.topology.model import Topology
from testbed.wire.report import Wire, WireReport
from testbed.workload.flow import WORKLOAD, Flow
from testbed.workload.spec import Command, Iperf3

if TYPE_CHECKING:  # a simulated run does not use the sandbox
    from testbed.sandbox import Observation


def of(
    scenario: Scenario, planned: PlannedFlow, seen: Seen, *, simulated: bool = False
) -> Evidence:
    """Return the evidence about one flow.

    :param simulated: whether the network is simulated.
    """
    flow = planned.flow
    workload, ends = flow.workload, flow.stack.ends
    nodes = (workload.source, workload.target)
    ours = tuple(
        node for node, end in zip(nodes, ends, strict=True) if simulated or not end.kind.in_kernel
    )
    own = _ends(seen, flow.name)
    several = len(scenario.flows) > 1 and not isinstance(workload, Command)
    port = workload.port if several else None
    return Evidence(
        protocol=flow.stack.protocol,
        ours=ours,
        simulated=simulated,
        source=workload.source,
        target=workload.target,
        expected_subflows=planned.subflows,
        counters=moved(seen.before, seen.after),
        connections=(
            *_sampled((*seen.records, *_own_looks(seen, flow.name)), port),
            *_counted(seen.records, port),
            *_final(own),
        ),
        spoken=_spoken(own, flow.stack.protocol),
        differences=tuple(_differences(own, flow)),
        lost=tuple(_lost(wires(scenario.topology, seen.wires))),
        programs=isinstance(workload, Command | Iperf3),
        kernel=_kernel_stacks(scenario),
        shared=_shared(scenario, planned),
        may_fall_back=scenario.may_fall_back,
    )


def _own_looks(seen: Seen, flow: str) -> tuple[records.Record, ...]:
    return seen.results[flow].records if flow in seen.results else ()


def _kernel_stacks(scenario: Scenario) -> dict[str, tuple[str, ...]]:
    """Return the protocols of the kernel's stacks on each node, for all flows."""
    found: dict[str, tuple[str, ...]] = {}
    for planned in scenario.flows:
        workload, stack = planned.flow.workload, planned.flow.stack
        for node, end in zip((workload.source, workload.target), stack.ends, strict=True):
            spoken = (end.kind.protocol,) if end.kind.in_kernel else ()
            found[node] = tuple(dict.fromkeys((*found.get(node, ()), *spoken)))
    return found


def _shared(scenario: Scenario, planned: PlannedFlow) -> tuple[str, ...]:
    """Return the nodes of a flow that other flows also use."""
    others = [node for other in scenario.flows if other is not planned for node in other.nodes]
    return tuple(node for node in planned.nodes if node in others)


def moved(before: Observation | None, after: Observation | None) -> dict[str, dict[str, int]]:
    """Return the increase of each MIB counter of each node, without unchanged ones."""
    if before is None or after is None:
        return {}
    return {
        node: {
            name: value - before.namespaces[node].counters.get(name, 0)
            for name, value in state.counters.items()
            if value != before.namespaces[node].counters.get(name, 0)
        }
        for node, state in after.namespaces.items()
        if state.counters
    }


def sysctls(seen: Observation | None) -> dict[str, dict[str, str]]:
    """Return the sysctls of each node."""
    return {} if seen is None else {node: it.sysctls for node, it in seen.namespaces.items()}


def addresses(topology: Topology, nodes: Iterable[str]) -> dict[str, str]:
    """Return the link of each address of some nodes."""
    return {
        host(address): interface.link
        for node in nodes
        for interface in topology.node(node).interfaces
        for address in interface.addresses
    }


def wires(topology: Topology, report: WireReport | None) -> tuple[WireRecord, ...]:
    """Return the state of each direction of each wire."""
    return tuple(
        WireRecord(
            link=wire.link,
            toward=toward(topology, wire),
            engine=wire.engine,
            netem=wire.netem.to_tc(),
            counters=wire.counters,
        )
        for wire in (report.wires if report else ())
    )


def boxes(report: WireReport | None) -> tuple[BoxRecord, ...]:
    """Return the counters of each middlebox."""
    return tuple(
        BoxRecord(link=link, kind=each.kind, came=each.came, left=each.left, changed=each.changed)
        for link, row in (report.boxes.items() if report else ())
        for each in row
    )


def toward(topology: Topology, wire: Wire) -> str:
    """Return the node the frames of this direction travel to."""
    link = topology.link(wire.link)
    return link.a.node if wire.toward == "a" else link.b.node


def series(seen: Seen) -> tuple[records.Record, ...]:
    """Return all records in the order of their times.

    ``t_ns`` becomes relative to the start of the workload, or of the records if it never started.
    The counts of the workload become records of the probe ``workload``.
    """
    lines = [*seen.records, *_workload_records(seen)]
    lines.sort(key=lambda record: record.t_ns)
    zero_ns = seen.zero_ns
    if zero_ns is None:
        zero_ns = lines[0].t_ns if lines else 0
    return tuple(msgspec.structs.replace(record, t_ns=record.t_ns - zero_ns) for record in lines)


def _workload_records(seen: Seen) -> Iterator[records.Record]:
    """Yield each count at the end of its interval, and the pauses."""
    for name, result in seen.results.items():
        flow = None if name == WORKLOAD else name
        for counted in result.series:
            for index, value in enumerate(counted.values, 1):
                yield records.WorkloadRecord(
                    t_ns=counted.start_ns + index * counted.step_ns,
                    node=counted.node,
                    received=value,
                    flow=flow,
                )
        yield from result.records
        for pause in result.pauses:
            yield records.PauseRecord(
                t_ns=pause.end_ns, node=pause.node, length_ns=pause.length_ns, flow=flow
            )


def _sampled(seen: Iterable[records.Record], port: int | None) -> Iterator[ConnectionView]:
    """Yield the observations of the probe ``mptcp_info`` for a port, or for all connections."""
    for record in seen:
        if isinstance(record, records.MptcpInfoRecord) and (
            port is None or _has_port(record.local, record.remote, port)
        ):
            yield _view(record.node, record.mptcp)


def _counted(seen: Iterable[records.Record], port: int | None) -> Iterator[ConnectionView]:
    """Yield the subflows of each connection from the path manager's events, which are complete."""
    subflows: dict[tuple[str, int | None], int] = {}
    for record in seen:
        if not isinstance(record, records.PmEventRecord):
            continue
        connection = record.node, record.token
        match record.event:
            case "created":
                if port is None or _has_port(record.local, record.remote, port):
                    subflows[connection] = 1
            case "sub_established" if connection in subflows:
                subflows[connection] += 1
            case "sub_closed" if connection in subflows:
                subflows[connection] -= 1
            case _:
                continue
        if connection in subflows:
            yield ConnectionView(node=record.node, fallback=False, subflows=subflows[connection])


def _has_port(local: str | None, remote: str | None, port: int) -> bool:
    """Return whether one end of a connection has a port."""
    return any(address and address.endswith(f":{port}") for address in (local, remote))


def _final(ends: Iterable[records.End]) -> Iterator[ConnectionView]:
    """Yield the views that the ends have of their own connections."""
    for end in ends:
        for connection in end.connections:
            if connection.view.mptcp_info is not None:
                yield _view(end.node, connection.view.mptcp_info)


def _spoken(ends: Iterable[records.End], wanted: str) -> dict[str, str]:
    """Return the protocol that each node observed on its connections.

    If a connection did not use the protocol ``wanted``, the first such connection counts.
    """
    found: dict[str, str] = {}
    for end in ends:
        for connection in end.connections:
            if connection.view != records.View():
                spoken = "tcp" if connection.view.mptcp_info is None else "mptcp"
                if found.get(end.node, wanted) == wanted:
                    found[end.node] = spoken
    return found


def _differences(ends: Iterable[records.End], flow: Flow) -> Iterator[str]:
    """Yield each difference between the requested and the used options of an end, in words."""
    workload, choice = flow.workload, flow.stack
    asked = {workload.source: choice.source, workload.target: choice.target}
    for end in ends:
        for connection in end.connections:
            for difference in asked[end.node].differences(connection.used):
                yield f"{end.node}: {difference}"


def _ends(seen: Seen, flow: str) -> tuple[records.End, ...]:
    return records.ends(seen.results[flow].details) if flow in seen.results else ()


def _view(node: str, seen: records.MptcpInfo) -> ConnectionView:
    token, remote = seen.info.token, seen.info.remote_token
    return ConnectionView(
        node=node,
        fallback=seen.fallback,
        subflows=seen.established,
        tokens=None if token is None or remote is None else (token, remote),
    )


def _lost(found: Iterable[WireRecord]) -> Iterator[Lost]:
    for wire in found:
        if wire.counters.dropped_overrun:
            yield Lost(link=wire.link, toward=wire.toward, packets=wire.counters.dropped_overrun)
