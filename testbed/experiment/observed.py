"""A running sandbox as a topology: what is really there, in the words of the plan.

Whatever reasons about a planned topology (which subflows there will be, where a packet goes) can
so be asked about the observed one.
"""

from __future__ import annotations

from collections.abc import Iterable

from testbed.sandbox.observation import NamespaceState, Observation
from testbed.topology.model import Interface, Kind, Link, Node, Topology
from testbed.topology.operations import WIRE, AddVeth, AddWire, AnyOperation, VethEnd
from testbed.wire.netem import Netem
from testbed.wire.report import WireReport


def observed_topology(
    name: str,
    operations: Iterable[AnyOperation],
    observation: Observation,
    wires: WireReport,
) -> Topology:
    """Return the network as it is now.

    Which interfaces a link joins is taken from the operations, since nobody else knows; all the
    rest is what the kernel has.  An interface that is down, or whose other end is, has no
    addresses here: nothing can be sent from them.

    :param operations: all that were carried out in the sandbox.
    :param wires: the shaping in force.
    """
    shaping = {(wire.link, wire.toward): wire.netem for wire in wires.wires}
    states = observation.namespaces
    links = tuple(
        Link(
            name=link,
            a=_interface(states, a, link),
            b=_interface(states, b, link),
            mtu=a.mtu,
            wire=wired,
            toward_a=shaping.get((link, "a"), Netem()),
            toward_b=shaping.get((link, "b"), Netem()),
            offload=a.offload,
        )
        for link, a, b, wired in _joined(operations)
    )
    switches = dict.fromkeys(
        end.node for link in links for end in (link.a, link.b) if end.node not in states
    )
    nodes = [_node(state, links) for name, state in states.items() if name != WIRE]
    nodes += [Node(name=switch, kind=Kind.SWITCH) for switch in switches]
    return Topology(name=name, nodes=tuple(nodes), links=links)


def _joined(operations: Iterable[AnyOperation]) -> list[tuple[str, VethEnd, VethEnd, bool]]:
    """Return each link in the order they were made: name, the two outer ends, whether wired."""
    operations = tuple(operations)
    wire_at = {
        middle: operation
        for operation in operations
        if isinstance(operation, AddWire)
        for middle in (operation.a, operation.b)
    }
    outer: dict[str, VethEnd] = {}
    found: list[tuple[str, VethEnd, VethEnd, bool]] = []
    for operation in operations:
        if not isinstance(operation, AddVeth):
            continue
        a, b = operation.a, operation.b
        wire = wire_at.get(b.interface) if b.namespace == WIRE else None
        if wire is None:
            name = b.interface if a.namespace == WIRE else a.interface
            found.append((name, a, b, False))
            continue
        outer[b.interface] = a
        if wire.a in outer and wire.b in outer:
            found.append((wire.link, outer[wire.a], outer[wire.b], True))
    return found


def _interface(states: dict[str, NamespaceState], end: VethEnd, link: str) -> Interface:
    state = states.get(end.namespace)
    seen = state.link(end.interface) if state else None
    alive = seen is not None and seen.up and seen.carrier
    addresses = state.addresses if state and alive and end.bridge is None else ()
    return Interface(
        node=end.bridge or end.namespace,
        name=end.interface,
        link=link,
        mac=seen.mac if seen else end.mac,
        mtu=seen.mtu if seen else end.mtu,
        addresses=tuple(a.address for a in addresses if a.interface == end.interface and a.usable),
    )


def _node(state: NamespaceState, links: Iterable[Link]) -> Node:
    forwards = "1" in (
        state.sysctls.get("net.ipv4.ip_forward"),
        state.sysctls.get("net.ipv6.conf.all.forwarding"),
    )
    return Node(
        name=state.name,
        kind=Kind.ROUTER if forwards else Kind.HOST,
        interfaces=tuple(
            end for link in links for end in (link.a, link.b) if end.node == state.name
        ),
        rules=state.rules,
        routes=state.routes,
        all_routes=True,
        neighbours=state.neighbours,
        limits=state.limits,
        endpoints=state.endpoints,
    )
