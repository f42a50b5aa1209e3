"""A running sandbox as a topology: what is really there, in the words of the plan.

Whatever reasons about a planned topology (which subflows there will be, where a packet goes) can
so be asked about the observed one.
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
    """Return the network as it is now.

    Which interfaces a link joins, and what they stand on, is as it was built; all the rest is what
    the kernel has.  An
    interface that is down, or whose other end is, has no addresses here: nothing can be sent from
    them.

    :param wires: the shaping in force.
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
    """Return one end of a link; the ports of a switch have no addresses."""
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
