"""The observed state of a running sandbox, as a topology.

So functions on planned topologies (which subflows exist, which way a packet takes) also work on the
observed one.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from testbed.sandbox.observation import NamespaceState, Observation
from testbed.topology.model import Interface, Kind, Node, Topology
from testbed.topology.operations import WIRE
from testbed.wire.netem import Netem
from testbed.wire.report import WireReport


def observed_topology(built: Topology, observation: Observation, wires: WireReport) -> Topology:
    """Return the topology in its present state.

    The ends of links and the devices below interfaces are those of the built topology; all other
    state is that of the kernel. If an interface or its peer is down, it has no addresses in the
    result, as it cannot send from them.

    :param wires: the present shaping.
    """
    shaping = {(wire.link, wire.toward): wire.netem for wire in wires.wires}
    states = observation.namespaces
    links = tuple(
        msgspec.structs.replace(
            link,
            a=_interface(states, link.a),
            b=_interface(states, link.b),
            toward_a=shaping.get((link.name, "a"), Netem()),
            toward_b=shaping.get((link.name, "b"), Netem()),
        )
        for link in built.links
    )
    known = {node.name: node for node in built.nodes}
    nodes = [
        _node(state, states, known.get(name)) for name, state in states.items() if name != WIRE
    ]
    nodes += [
        Node(name=node.name, kind=Kind.SWITCH) for node in built.nodes if node.kind is Kind.SWITCH
    ]
    return Topology(name=built.name, nodes=tuple(nodes), links=links)


def _interface(states: Mapping[str, NamespaceState], end: Interface) -> Interface:
    """Return one end of a link. Ports of a switch have no addresses."""
    state = states.get(end.node)
    seen = state.link(end.name) if state else None
    if state is None or seen is None:
        return msgspec.structs.replace(end, addresses=())
    alive = seen.up and seen.carrier
    addresses = (a.address for a in state.addresses if a.interface == end.name and a.usable)
    return msgspec.structs.replace(
        end, mac=seen.mac, mtu=seen.mtu, addresses=tuple(addresses) if alive else ()
    )


def _node(state: NamespaceState, states: Mapping[str, NamespaceState], built: Node | None) -> Node:
    forwards = "1" in (
        state.sysctls.get("net.ipv4.ip_forward"),
        state.sysctls.get("net.ipv6.conf.all.forwarding"),
    )
    return Node(
        name=state.name,
        kind=Kind.ROUTER if forwards else Kind.HOST,
        interfaces=()
        if built is None
        else tuple(_interface(states, it) for it in built.interfaces),
        vrfs=() if built is None else built.vrfs,
        rules=state.rules,
        routes=state.routes,
        all_routes=True,
        neighbours=state.neighbours,
        sysctls=tuple(state.sysctls.items()),
        limits=state.limits,
        endpoints=state.endpoints,
    )
