"""The runs of one cell: topology and flows with the cell's parameters. Pure."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from testbed import document, prediction
from testbed.document import Document, Positions
from testbed.errors import InputError, all_of
from testbed.experiment.events import Action, timeline
from testbed.experiment.networks import Network, Networks
from testbed.experiment.spec import CASE, ExperimentSpec
from testbed.hints import nearest
from testbed.results.model import STACK_PREFIX, Cell, PathRecord, Scalar
from testbed.topology.model import Family, Kind, Topology
from testbed.topology.spec import TopologySpec
from testbed.topology.ways import ways_of
from testbed.workload.base import Workload, WorkloadSpec
from testbed.workload.flow import WORKLOAD, Flow
from testbed.workload.spec import Command, Iperf3
from testbed.workload.stacks.choice import End, StackChoice, carried_by, read
from testbed.workload.stacks.options import SUBFLOWS
from testbed.workload.stacks.sysctls import meant

FLOWS: Final = "flows"
# Possible first parts of a path of the matrix, beside "workload", "flows" and "stack".
TOPOLOGY_KEYS: Final = tuple(
    field.name for field in msgspec.structs.fields(TopologySpec) if field.name != "description"
)


class PlannedFlow(msgspec.Struct, frozen=True, kw_only=True):
    """A flow, and the expectations about it.

    :param subflows: how many subflows an MPTCP connection of it must have; 1 if its connections may
        end before a second subflow exists.
    :param paths: the paths of those subflows.
    """

    flow: Flow
    subflows: int
    paths: tuple[PathRecord, ...] = ()

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes of the flow, each once."""
        workload = self.flow.workload
        programs = workload.programs if isinstance(workload, Command) else ()
        named = (workload.source, workload.target, *(program.node for program in programs))
        return tuple(dict.fromkeys(named))


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the runs of one cell need.

    :param captures: interfaces to capture packets of, per node.
    :param may_fall_back: whether a run in which MPTCP fell back to TCP counts.
    """

    topology: Topology
    flows: tuple[PlannedFlow, ...]
    timeline: tuple[Action, ...]
    captures: dict[str, tuple[str, ...]]
    may_fall_back: bool = False

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that flows run on, each once."""
        return tuple(dict.fromkeys(node for flow in self.flows for node in flow.nodes))


def is_of_flows(parameter: str) -> bool:
    """Return whether a parameter of the matrix may change flows."""
    return parameter == CASE or document.split_path(parameter)[0] in (WORKLOAD, FLOWS)


def scenario(
    written: Document[ExperimentSpec],
    networks: Networks,
    choices: Sequence[StackChoice],
    cell: Cell,
    there: Sequence[str],
) -> Scenario:
    """Apply a cell's parameters to the topology and the flows, and check the result.

    :param choices: the stacks under test.
    :param there: the stacks of the machine for the runs; they carry flows with a fixed stack.
    :raises InputError: the result is invalid; with file and line, which are those of the matrix or
        the cases if the cell has parameters.
    """
    try:
        return _scenario(written, networks, choices, cell, there)
    except InputError as error:
        if not cell.parameters:
            raise
        values = ", ".join(f"{path} = {value}" for path, value in cell.parameters.items())
        place = _blamed(cell.parameters)
        raise InputError.together(
            [
                written.error(
                    ": ".join(part for part in (values, each.path, each.message) if part),
                    place,
                    each.hint,
                )
                for each in error.every
            ]
        ) from None


def _blamed(parameters: Mapping[str, Scalar]) -> str:
    """Return the path in the file that sets the parameters; for a single one its own axis."""
    first = "cases" if CASE in parameters else "matrix"
    if len(parameters) > 1:
        return first
    ((path, value),) = parameters.items()
    return document.join_path(first, str(value) if path == CASE else path)


def _scenario(
    written: Document[ExperimentSpec],
    networks: Networks,
    choices: Sequence[StackChoice],
    cell: Cell,
    there: Sequence[str],
) -> Scenario:
    flows = _raw_flows(written)
    stack_options: dict[str, Scalar] = {}
    of_network: dict[str, Scalar] = {}
    for path, value in written.value.assignments(cell.parameters).items():
        first, *rest = document.split_path(path)
        if path.startswith(STACK_PREFIX):
            stack_options[path.removeprefix(STACK_PREFIX)] = value
        elif first in (WORKLOAD, FLOWS):
            name, key = _flow_path(flows, first, rest)
            flows = flows | {name: flows[name] | {key: value}}
        else:
            of_network[path] = value
    chosen = next(choice for choice in choices if choice.label == cell.stack)
    chosen = chosen.replaced(stack_options)
    workloads = {name: _workload(written, name, raw) for name, raw in flows.items()}
    network = networks.network(of_network, _family(workloads.values()))

    def stack_of(workload: Workload) -> StackChoice:
        return chosen if workload.stack is None else carried_by(read(workload.stack), there)

    planned: list[PlannedFlow] = []
    actions: list[Action] = []
    all_of(
        lambda: planned.extend(_flows(written, network, workloads, stack_of)),
        lambda: actions.extend(timeline(written, network.topology)),
    )
    flows_planned = tuple(planned)
    return Scenario(
        topology=_with_sysctls(written, network.topology, flows_planned),
        flows=flows_planned,
        timeline=tuple(actions),
        captures=_captures(written, network.topology, flows_planned),
        may_fall_back=written.value.fallback == "allowed",
    )


def _raw_flows(written: Document[ExperimentSpec]) -> dict[str, Any]:
    raw = cast("dict[str, Any]", written.raw)
    return cast("dict[str, Any]", raw[FLOWS] if raw.get(FLOWS) else {WORKLOAD: raw[WORKLOAD]})


def _flow_path(flows: Mapping[str, Any], first: object, rest: list[Any]) -> tuple[str, str]:
    """Return the flow and the key that a path of the matrix refers to."""
    name, keys = (WORKLOAD, rest) if first == WORKLOAD else (str(rest[0]) if rest else "", rest[1:])
    if name not in flows or not keys:
        raise InputError(
            f"{document.join_path(str(first), *rest)!r} is not a value of a flow",
            hint=nearest(name, flows),
        )
    return name, document.join_path(*keys)


def _workload(written: Document[ExperimentSpec], name: str, raw: Any) -> Workload:
    place = WORKLOAD if written.value.workload is not None else document.join_path(FLOWS, name)
    type_ = cast("type[object]", Workload)
    return cast("Workload", document.convert(raw, type_, Positions({}), place).value)


def _family(workloads: Iterable[Workload]) -> Family | None:
    """Return the address family of all flows, if they have the same."""
    families = {workload.family for workload in workloads}
    return families.pop() if len(families) == 1 else None


def _flows(
    written: Document[ExperimentSpec],
    network: Network,
    workloads: Mapping[str, Workload],
    stack_of: Callable[[Workload], StackChoice],
) -> tuple[PlannedFlow, ...]:
    taken = {(it.target, it.port) for it in workloads.values() if it.port is not None}

    def plan(name: str, workload: Workload) -> PlannedFlow:
        place = WORKLOAD if name == WORKLOAD else document.join_path(FLOWS, name)
        with written.placing(place):
            port = workload.port or _free_port(workload, taken)
            taken.add((workload.target, port))
            flow = msgspec.structs.replace(cast("WorkloadSpec", workload), port=port)
            return _flow(written.value, network, name, flow, stack_of(flow))

    return tuple(all_of(*(functools.partial(plan, *named) for named in workloads.items())))


def _free_port(workload: Workload, taken: Collection[tuple[str, int | None]]) -> int:
    port = workload.usual_port
    while (workload.target, port) in taken:
        port += 1
    return port


def _flow(
    spec: ExperimentSpec,
    network: Network,
    name: str,
    workload: Workload,
    stack: StackChoice,
) -> PlannedFlow:
    _check_programs(workload, stack)
    topology = network.topology
    address, subflows = _route(network, workload)
    nodes = (workload.source, workload.target)
    stack = stack.obeying(
        *(_meant(topology, node, end) for node, end in zip(nodes, stack.ends, strict=True))
    ).check()
    subflows = _managed(topology, workload, stack, subflows)
    expected = spec.subflows or len(subflows)
    if workload.brief:
        expected = 1
    return PlannedFlow(
        flow=Flow(
            name=name,
            workload=workload,
            stack=stack,
            rival=workload.stack is not None,
            address=address,
        ),
        subflows=expected,
        paths=_paths(network, subflows),
    )


def _managed(
    topology: Topology,
    workload: Workload,
    stack: StackChoice,
    predicted: tuple[prediction.Subflow, ...],
) -> tuple[prediction.Subflow, ...]:
    """Return the subflows that the path manager of the initiator opens.

    :param predicted: the subflows that the kernel's path manager would open.
    """
    most = min(
        int(end.options.get(SUBFLOWS) or prediction.path_limits(topology.node(node)).subflows + 1)
        for node, end in zip((workload.source, workload.target), stack.ends, strict=True)
    )
    match stack.source.options.get("path_manager"):
        case "command":
            return predicted[:1]
        case "ndiffports":
            return predicted[:1] * most
        case _:
            return predicted[:most]


def _meant(topology: Topology, node: str, end: End) -> dict[str, Scalar]:
    """Return the options of our own stack on a node that follow from its sysctls."""
    if end.kind.in_kernel:
        return {}
    return meant(end.name, dict(topology.node(node).sysctls))


def _check_programs(workload: Workload, stack: StackChoice) -> None:
    """Refuse options that cannot be applied to programs."""
    if not isinstance(workload, Iperf3 | Command):
        return
    for end in stack.ends:
        options = [] if not end.kind.in_kernel else end.options
        unreachable = [name for name in options if not end.sets_by_sysctl(name)]
        if unreachable:
            raise InputError(
                f"{workload.kind}: programs set the socket options themselves; "
                f"{', '.join(unreachable)} of {stack.label!r} cannot be applied",
                hint="set a sysctl of the node, such as net.ipv4.tcp_congestion_control",
            )


def _route(network: Network, workload: Workload) -> tuple[str, tuple[prediction.Subflow, ...]]:
    """Return the address to dial, and the subflows that lead there."""
    hosts = [node.name for node in network.topology.nodes if node.kind is not Kind.SWITCH]
    named = [workload.source, workload.target]
    if isinstance(workload, Command):
        named += [program.node for program in workload.programs]
    for name in named:
        if name not in hosts:
            raise InputError(f"there is no host {name!r}", hint=nearest(name, hosts))
    if workload.source == workload.target:
        raise InputError(
            f"from and to are both {workload.source!r}: nothing would cross the network",
            hint="name two hosts",
        )
    return network.route(workload.source, workload.target, workload.family, workload.via)


def _paths(network: Network, subflows: Sequence[prediction.Subflow]) -> tuple[PathRecord, ...]:
    """Return the paths of subflows, each once."""
    pairs = dict.fromkeys((it.source, it.destination) for it in subflows)
    ways = ways_of(network.topology, pairs, network.forwarding)
    return tuple(
        PathRecord(
            link=way.link,
            links=way.links,
            source=way.source,
            destination=way.destination,
            forward=way.forward,
            reverse=way.reverse,
        )
        for way in ways
    )


def _with_sysctls(
    written: Document[ExperimentSpec], topology: Topology, flows: Sequence[PlannedFlow]
) -> Topology:
    """Set the sysctls of nodes that correspond to the options of stacks.

    :raises InputError: two flows need different values of a node's sysctl.
    """
    wanted: dict[str, dict[str, str]] = {}
    for planned in flows:
        workload, stack = planned.flow.workload, planned.flow.stack
        for node, end in zip((workload.source, workload.target), stack.ends, strict=True):
            of_node = wanted.setdefault(node, {})
            for name, value in end.sysctls.items():
                if of_node.setdefault(name, value) != value:
                    message = f"{node!r} cannot have {name} {of_node[name]} and {value} at once"
                    raise written.error(message, FLOWS, "use the same value, or other nodes")
    nodes = tuple(
        msgspec.structs.replace(node, sysctls=_merged(node.sysctls, wanted.get(node.name, {})))
        for node in topology.nodes
    )
    return msgspec.structs.replace(topology, nodes=nodes)


def _merged(
    own: tuple[tuple[str, str], ...], wanted: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    return tuple({**dict(own), **wanted}.items())


def _captures(
    written: Document[ExperimentSpec], topology: Topology, flows: Sequence[PlannedFlow]
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
        workloads = [planned.flow.workload for planned in flows] if wanted else []
        ends = {node for workload in workloads for node in (workload.source, workload.target)}
        chosen = [pair for pair in known.values() if pair[0] in ends]
    else:
        for index, name in enumerate(wanted):
            if name not in known:
                hint = nearest(name, known)
                raise written.error(f"there is no interface {name!r}", f"pcap[{index}]", hint)
        chosen = [known[name] for name in wanted]
    return {
        node: tuple(interface for owner, interface in chosen if owner == node)
        for node in dict.fromkeys(node for node, _ in chosen)
    }
