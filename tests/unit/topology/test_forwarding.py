"""Any valid topology resolves, its names are unique, and packets arrive wherever they can."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.topology.forwarding import Forwarding, family_of, host
from testbed.topology.load import loads_topology
from testbed.topology.model import Family, Interface, Kind, Topology
from testbed.topology.operations import (
    WIRE,
    AddAddress,
    AddBridge,
    AddNamespace,
    AddVeth,
    AddWire,
    SetLimits,
)
from testbed.topology.plan import plan
from testbed.topology.resolve import resolve

KINDS = ("host", "host", "router", "router", "switch")


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """Draw a topology without loops of switches; some links are shaped."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=2, max_size=7))
    names = [f"{kind[0]}{index}" for index, kind in enumerate(kinds)]
    pairs = st.sampled_from(list(itertools.permutations(range(len(kinds)), 2)))
    domain = list(range(len(kinds)))
    lines = ["nodes:"]
    lines += [f"  {name}: {{kind: {kind}}}" for name, kind in zip(names, kinds, strict=True)]
    lines += ["links:"]
    for index, (a, b) in enumerate(draw(st.lists(pairs, min_size=1, max_size=9))):
        if kinds[a] == kinds[b] == "switch":
            if domain[a] == domain[b]:
                continue
            domain = [domain[a] if each == domain[b] else each for each in domain]
        shaped = ", netem: {delay: 1ms}" if draw(st.booleans()) else ""
        lines.append(f"  l{index}: {{between: [{names[a]}, {names[b]}]{shaped}}}")
    if lines[-1] == "links:":
        lines[-1] = "links: {}"
    return resolve(loads_topology("\n".join(lines), "drawn.yaml"))


def ends(topology: Topology, *kinds: Kind) -> Iterator[Interface]:
    for node in topology.nodes:
        if node.kind in kinds:
            yield from node.interfaces


def parts(topology: Topology, *joining: Kind) -> dict[tuple[str, str], int]:
    """Number the interfaces by what hangs together through links and nodes of some kinds."""
    part = {(end.node, end.name): i for i, end in enumerate(ends(topology, *Kind))}

    def join(a: Interface, b: Interface) -> None:
        old, new = part[b.node, b.name], part[a.node, a.name]
        part.update({key: new for key, number in part.items() if number == old})

    for link in topology.links:
        join(link.a, link.b)
    for node in topology.nodes:
        if node.kind in joining:
            for a, b in itertools.pairwise(node.interfaces):
                join(a, b)
    return part


@settings(max_examples=150)
@given(topologies())
def test_every_address_is_reached_from_every_source_that_can(topology: Topology) -> None:
    """The oracle: interfaces that hang together through switches and routers, never hosts."""
    forwarding = Forwarding(topology)
    part = parts(topology, Kind.ROUTER, Kind.SWITCH)
    for a, b in itertools.product(ends(topology, Kind.HOST), repeat=2):
        if a.node == b.node:
            continue
        for source, destination in itertools.product(a.addresses, b.addresses):
            if family_of(source) is not family_of(destination):
                continue
            reaches = forwarding.reaches(a.node, host(destination), host(source))
            assert reaches is (part[a.node, a.name] == part[b.node, b.name])


@settings(max_examples=100)
@given(topologies())
def test_an_unbound_socket_reaches_whatever_it_can(topology: Topology) -> None:
    forwarding = Forwarding(topology)
    part = parts(topology, Kind.ROUTER, Kind.SWITCH)
    for node in topology.nodes:
        own = {part[end.node, end.name] for end in node.interfaces if end.addresses}
        if node.kind is not Kind.HOST:
            continue
        for end in ends(topology, Kind.HOST, Kind.ROUTER):
            if end.node == node.name or part[end.node, end.name] not in own:
                continue
            for address in map(host, end.addresses):
                source = forwarding.source(node.name, address)
                assert source is not None
                assert forwarding.reaches(node.name, address, source)


@settings(max_examples=100)
@given(topologies())
def test_names_addresses_and_macs_are_unique(topology: Topology) -> None:
    operations = plan(topology).operations
    veths = [end for op in operations if isinstance(op, AddVeth) for end in (op.a, op.b)]
    bridges = [op for op in operations if isinstance(op, AddBridge)]
    names = [(end.namespace, end.interface) for end in (*veths, *bridges)]
    macs = [end.mac for end in veths]
    addresses = [op.address for op in operations if isinstance(op, AddAddress)]
    for values in (names, macs, addresses):
        assert len(set(values)) == len(values)
    assert all(1 <= len(name) <= 15 for _, name in names)


@settings(max_examples=100)
@given(topologies())
def test_a_plan_uses_nothing_before_it_is_there(topology: Topology) -> None:
    namespaces, interfaces, bridges = {WIRE}, set(), set()
    for operation in plan(topology).operations:
        match operation:
            case AddNamespace(namespace=name):
                namespaces.add(name)
            case AddBridge(namespace=namespace, interface=name):
                bridges.add(name)
            case AddVeth():
                for end in (operation.a, operation.b):
                    assert end.namespace in namespaces
                    assert end.bridge is None or (end.namespace == WIRE and end.bridge in bridges)
                    interfaces.add((end.namespace, end.interface))
            case AddWire(a=a, b=b):
                assert {(WIRE, a), (WIRE, b)} <= interfaces
            case SetLimits(namespace=namespace):
                assert namespace in namespaces
            case _:
                namespace = getattr(operation, "namespace", None)
                interface = getattr(operation, "interface", None)
                assert namespace in namespaces
                assert not interface or (namespace, interface) in interfaces


def test_a_bound_ipv4_socket_takes_the_destination_to_be_on_link() -> None:
    """As ip_route_output_key_hash_rcu does; IPv6 does not."""
    topology = resolve(
        loads_topology("nodes: {a: {}, b: {}}\nlinks: {x: {between: [a, b]}, y: {between: [a, b]}}")
    )
    forwarding = Forwarding(topology)
    assert forwarding.hop("a", "10.0.1.2", "10.0.2.1") is None
    hop = forwarding.hop("a", "10.0.1.2", "10.0.2.1", "y")
    assert hop is not None
    assert (hop.interface.name, hop.gateway) == ("y", "10.0.1.2")
    assert forwarding.hop("a", "fd00:0:0:1::2", "fd00:0:0:2::1", "y") is None
    assert forwarding.source("a", "192.0.2.1") is None
    assert not forwarding.reaches("a", "10.0.1.2", "10.0.2.1", "y")
    assert set(Family) == {family_of("10.0.0.1"), family_of("::1")}
