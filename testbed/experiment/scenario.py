"""What one cell runs: the topology and the workload with the cell's parameters in them.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from testbed import document
from testbed.document import Document, Positions
from testbed.errors import InputError
from testbed.experiment.events import Action, timeline
from testbed.experiment.spec import CASE, ExperimentSpec
from testbed.results.model import PathRecord, Scalar
from testbed.topology import paths
from testbed.topology.load import substitute
from testbed.topology.model import Kind, Topology
from testbed.topology.resolve import resolve
from testbed.topology.spec import TopologySpec
from testbed.topology.ways import ways_of
from testbed.workload.spec import Command, Workload

# What a path of the matrix may start with, beside "workload".
TOPOLOGY_KEYS: Final = tuple(
    field.name for field in msgspec.structs.fields(TopologySpec) if field.name != "description"
)


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """All that the runs of some parameters need, whatever their stack.

    :param address: the target's, to be dialled.
    :param subflows: how many each MPTCP connection must have.
    :param paths: the ways those subflows take.
    :param captures: interfaces to capture packets of, per node.
    """

    topology: Topology
    workload: Workload
    address: str
    timeline: tuple[Action, ...]
    subflows: int
    paths: tuple[PathRecord, ...] = ()
    captures: dict[str, tuple[str, ...]]


def scenario(
    written: Document[ExperimentSpec],
    topology: Document[TopologySpec],
    parameters: Mapping[str, Scalar],
) -> Scenario:
    """Put parameters into the topology and the workload, and check the outcome.

    :raises InputError: with file and line; of the matrix or the cases, when there are parameters.
    """
    try:
        return _scenario(written, topology, parameters)
    except InputError as error:
        if not parameters:
            raise
        values = ", ".join(f"{path} = {value}" for path, value in parameters.items())
        place = "cases" if CASE in parameters else "matrix"
        message = ": ".join(part for part in (values, error.path, error.message) if part)
        raise written.error(message, place, error.hint) from None


def _scenario(
    written: Document[ExperimentSpec],
    topology: Document[TopologySpec],
    parameters: Mapping[str, Scalar],
) -> Scenario:
    network, raw = topology.raw, cast("dict[str, Any]", written.raw)["workload"]
    for path, value in written.value.assignments(parameters).items():
        first, *rest = document.split_path(path)
        if first == "workload":
            raw = raw | {document.join_path(*rest): value}
        else:
            network = substitute(network, path, value)
    workload = cast("Workload", _workload(raw))
    changed = document.convert(network, TopologySpec, topology.positions, topology.name)
    family = None if changed.value.mptcp.family else workload.family
    resolved = resolve(changed, family=family)
    address, subflows = _route(written, resolved, workload)
    return Scenario(
        topology=resolved,
        workload=workload,
        address=address,
        timeline=timeline(written, resolved),
        subflows=written.value.subflows or len(subflows),
        paths=_paths(resolved, subflows),
        captures=_captures(written, resolved, workload),
    )


def _workload(raw: Any) -> object:
    return document.convert(raw, cast("type[object]", Workload), Positions({}), "workload").value


def _route(
    written: Document[ExperimentSpec], topology: Topology, workload: Workload
) -> tuple[str, tuple[paths.Subflow, ...]]:
    """Return the address to dial, and the subflows that lead there."""
    hosts = [node.name for node in topology.nodes if node.kind is not Kind.SWITCH]
    named = [workload.source, workload.target]
    if isinstance(workload, Command):
        named += [program.node for program in workload.programs]
    for name in named:
        if name not in hosts:
            hint = document.nearest(name, hosts)
            raise written.error(f"there is no host {name!r}", "workload", hint)
    try:
        address = paths.address_of(topology, workload.target, workload.family, workload.via)
        subflows = paths.subflows(
            topology, workload.source, workload.target, workload.family, address
        )
    except InputError as error:
        raise written.error(error.message, "workload", error.hint) from None
    return address, subflows


def _paths(topology: Topology, subflows: Sequence[paths.Subflow]) -> tuple[PathRecord, ...]:
    """Return the ways that subflows take, each once."""
    ways = ways_of(topology, dict.fromkeys((it.source, it.destination) for it in subflows))
    return tuple(
        PathRecord(
            link=way.links[0],
            source=way.source,
            destination=way.destination,
            forward=way.forward,
            reverse=way.reverse,
        )
        for way in ways
    )


def _captures(
    written: Document[ExperimentSpec], topology: Topology, workload: Workload
) -> dict[str, tuple[str, ...]]:
    """Return the interfaces to capture, per node."""
    wanted = written.value.pcap
    known = {
        f"{node.name}.{interface.name}": (node.name, interface.name)
        for node in topology.nodes
        if node.kind is not Kind.SWITCH
        for interface in node.interfaces
    }
    if isinstance(wanted, bool):
        ends = (workload.source, workload.target) if wanted else ()
        chosen = [pair for pair in known.values() if pair[0] in ends]
    else:
        for index, name in enumerate(wanted):
            if name not in known:
                hint = document.nearest(name, known)
                raise written.error(f"there is no interface {name!r}", f"pcap[{index}]", hint)
        chosen = [known[name] for name in wanted]
    return {
        node: tuple(interface for owner, interface in chosen if owner == node)
        for node in dict.fromkeys(node for node, _ in chosen)
    }
