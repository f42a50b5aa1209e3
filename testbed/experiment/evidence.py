"""From what was seen of a run to what its record says and its proof rests on.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from testbed import records
from testbed.experiment.proof import ConnectionView, Evidence, Lost
from testbed.experiment.scenario import Scenario
from testbed.results.model import EventRecord, WireRecord
from testbed.topology.forwarding import host
from testbed.topology.model import Topology
from testbed.wire.report import Wire, WireReport
from testbed.workload.result import WorkloadResult
from testbed.workload.spec import Command, Iperf3, Workload

if TYPE_CHECKING:  # a simulated run has nothing to do with the sandbox
    from testbed.sandbox import Observation


class Seen(msgspec.Struct, kw_only=True):
    """Everything seen of a run; a part is missing when the run failed before it.

    :param failure: why it failed.
    :param doubt: why it proves nothing although it did not fail.
    :param cpu: CPU seconds of what is no part of the workload.
    """

    failure: str | None = None
    doubt: str | None = None
    zero_ns: int | None = None
    result: WorkloadResult | None = None
    events: tuple[EventRecord, ...] = ()
    before: Observation | None = None
    after: Observation | None = None
    wires: WireReport | None = None
    records: list[records.Record] = []
    cpu: dict[str, float] = {}
    busy: float | None = None
    logs: dict[str, bytes] = {}


def nodes(workload: Workload) -> tuple[str, ...]:
    """Return the nodes a workload runs on, each once."""
    programs = workload.programs if isinstance(workload, Command) else ()
    names = (workload.source, workload.target, *(program.node for program in programs))
    return tuple(dict.fromkeys(names))


def of(
    scenario: Scenario,
    seen: Seen,
    *,
    protocol: str,
    ours: tuple[str, ...] = (),
    simulated: bool = False,
) -> Evidence:
    """Return what there is to judge the run by.

    :param protocol: what the stack is to speak.
    :param ours: the nodes whose stack is ours.
    :param simulated: in a network of ours, too.
    """
    workload = scenario.workload
    return Evidence(
        protocol=protocol,
        ours=ours,
        simulated=simulated,
        source=workload.source,
        target=workload.target,
        expected_subflows=scenario.subflows,
        counters=moved(seen.before, seen.after),
        connections=(*_sampled(seen.records), *_counted(seen.records), *_final(seen)),
        spoken=_spoken(seen),
        lost=tuple(_lost(wires(scenario.topology, seen.wires))),
        programs=isinstance(workload, Command | Iperf3),
    )


def moved(before: Observation | None, after: Observation | None) -> dict[str, dict[str, int]]:
    """Return by how much each MIB counter of each node moved; those that did not are left out."""
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


def toward(topology: Topology, wire: Wire) -> str:
    """Return the node the frames of this direction travel to."""
    link = topology.link(wire.link)
    return link.a.node if wire.toward == "a" else link.b.node


def series(seen: Seen) -> tuple[records.Record, ...]:
    """Return all records in the order of their times.

    ``t_ns`` becomes relative to the start of the workload, or of the records if it never started.
    What the workload counted is given as records of the probe ``workload``.
    """
    lines = [*seen.records, *_workload_records(seen)]
    lines.sort(key=lambda record: record.t_ns)
    zero_ns = seen.zero_ns
    if zero_ns is None:
        zero_ns = lines[0].t_ns if lines else 0
    return tuple(msgspec.structs.replace(record, t_ns=record.t_ns - zero_ns) for record in lines)


def _workload_records(seen: Seen) -> Iterator[records.Record]:
    """Yield each count at the end of its interval, when it was known, and the pauses."""
    for counted in seen.result.series if seen.result else ():
        for index, value in enumerate(counted.values, 1):
            yield records.WorkloadRecord(
                t_ns=counted.start_ns + index * counted.step_ns, node=counted.node, received=value
            )
    yield from seen.result.records if seen.result else ()
    for pause in seen.result.pauses if seen.result else ():
        yield records.PauseRecord(t_ns=pause.end_ns, node=pause.node, length_ns=pause.length_ns)


def _sampled(seen: Iterable[records.Record]) -> Iterator[ConnectionView]:
    """Yield what the probe ``mptcp_info`` saw."""
    for record in seen:
        if isinstance(record, records.MptcpInfoRecord):
            yield _view(record.node, record.mptcp)


def _counted(seen: Iterable[records.Record]) -> Iterator[ConnectionView]:
    """Yield the subflows of each connection by the path manager's events, which miss none."""
    subflows: dict[tuple[str, int | None], int] = {}
    for record in seen:
        if not isinstance(record, records.PmEventRecord):
            continue
        connection = record.node, record.token
        match record.event:
            case "created":
                subflows[connection] = 1
            case "sub_established":
                subflows[connection] = subflows.get(connection, 0) + 1
            case "sub_closed":
                subflows[connection] = subflows.get(connection, 0) - 1
            case _:
                continue
        yield ConnectionView(node=record.node, fallback=False, subflows=subflows[connection])


def _final(seen: Seen) -> Iterator[ConnectionView]:
    """Yield what the ends themselves saw just before they closed their connections."""
    for end in _ends(seen):
        if end.view.mptcp_info is not None:
            yield _view(end.node, end.view.mptcp_info)


def _spoken(seen: Seen) -> dict[str, str]:
    """Return, for each node that looked at its connection, the protocol that it saw."""
    return {
        end.node: "tcp" if end.view.mptcp_info is None else "mptcp"
        for end in _ends(seen)
        if end.view != records.View()
    }


def _ends(seen: Seen) -> tuple[records.End, ...]:
    return records.ends(seen.result.details) if seen.result else ()


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
