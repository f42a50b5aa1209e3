"""From what was seen of a run to what its record says and its proof rests on.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from testbed.experiment.proof import ConnectionView, Evidence, Lost
from testbed.experiment.scenario import Scenario
from testbed.results.model import EventRecord, WireRecord
from testbed.topology.model import Topology
from testbed.wire.report import Wire, WireReport
from testbed.workload.result import WorkloadResult
from testbed.workload.spec import Command, Workload

if TYPE_CHECKING:  # a simulated run has nothing to do with the sandbox
    from testbed.sandbox import Observation

Record = dict[str, Any]

# include/net/tcp_states.h: SYN_SENT, SYN_RECV, CLOSE, LISTEN, NEW_SYN_RECV
_NOT_ESTABLISHED: Final = (2, 3, 7, 10, 12)


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
    records: list[dict[str, Any]] = []
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


def series(seen: Seen) -> bytes:
    """Return all records as JSON lines in the order of their times.

    ``t_ns`` becomes relative to the start of the workload, or of the records if it never started.
    What the workload counted is given as records of the probe ``workload``.
    """
    records = [*seen.records, *_workload_records(seen)]
    records.sort(key=lambda record: int(record["t_ns"]))
    zero_ns = seen.zero_ns
    if zero_ns is None:
        zero_ns = records[0]["t_ns"] if records else 0
    return b"".join(
        msgspec.json.encode(record | {"t_ns": record["t_ns"] - zero_ns}) + b"\n"
        for record in records
    )


def _workload_records(seen: Seen) -> Iterator[Record]:
    """Yield each count at the end of its interval, when it was known."""
    for counted in seen.result.series if seen.result else ():
        for index, value in enumerate(counted.values, 1):
            yield {
                "probe": "workload",
                "t_ns": counted.start_ns + index * counted.step_ns,
                "node": counted.node,
                counted.name: value,
            }


def _sampled(records: Iterable[Record]) -> Iterator[ConnectionView]:
    """Yield what the probe ``mptcp_info`` saw."""
    for record in records:
        if record["probe"] == "mptcp_info":
            yield _view(record["node"], record["mptcp"])


def _counted(records: Iterable[Record]) -> Iterator[ConnectionView]:
    """Yield the subflows of each connection by the path manager's events, which miss none."""
    subflows: dict[tuple[str, int | None], int] = {}
    for record in records:
        if record["probe"] != "pm_events":
            continue
        connection = record["node"], record.get("token")
        match record["event"]:
            case "created":
                subflows[connection] = 1
            case "sub_established":
                subflows[connection] = subflows.get(connection, 0) + 1
            case "sub_closed":
                subflows[connection] = subflows.get(connection, 0) - 1
            case _:
                continue
        yield ConnectionView(node=record["node"], fallback=False, subflows=subflows[connection])


def _final(seen: Seen) -> Iterator[ConnectionView]:
    """Yield what the ends themselves saw just before they closed their connections."""
    for node, view in _own_views(seen):
        if "mptcp_info" in view:
            yield _view(node, view["mptcp_info"])


def _spoken(seen: Seen) -> dict[str, str]:
    """Return, for each node that looked at its connection, the protocol that it saw."""
    return {
        node: "mptcp" if "mptcp_info" in view else "tcp" for node, view in _own_views(seen) if view
    }


def _own_views(seen: Seen) -> Iterator[tuple[str, Mapping[str, Any]]]:
    details = seen.result.details if seen.result else {}
    for end in details.values():
        if isinstance(end, Mapping) and "view" in end:
            yield end["node"], end["view"]


def _view(node: str, mptcp: Mapping[str, Any]) -> ConnectionView:
    """Count subflows by their states: the numbers in MPTCP_INFO hold those that never came up."""
    established = [one for one in mptcp["subflows"] if one["tcp"]["state"] not in _NOT_ESTABLISHED]
    token, remote = (mptcp.get("info", {}).get(name) for name in ("token", "remote_token"))
    return ConnectionView(
        node=node,
        fallback=mptcp["fallback"],
        subflows=len(established),
        tokens=None if token is None or remote is None else (token, remote),
    )


def _lost(found: Iterable[WireRecord]) -> Iterator[Lost]:
    for wire in found:
        if wire.counters.dropped_overrun:
            yield Lost(link=wire.link, toward=wire.toward, packets=wire.counters.dropped_overrun)
