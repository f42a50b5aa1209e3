"""Any valid topology resolves, its names are unique, and packets arrive wherever they can."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.errors import InputError
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
    names = [(end.namespace, end.interface) for end in veths]
    names += [(bridge.namespace, bridge.interface) for bridge in bridges]
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
    assert not forwarding.connects("10.0.2.1", "10.0.1.2", "y")  # the answer is unreachable
    assert set(Family) == {family_of("10.0.0.1"), family_of("::1")}


def on_route(text: str, *links: str) -> Forwarding:
    """Return the forwarding of some links between ``a``, ``b`` and a router ``r``."""
    lines = [f"  l{index}: {{between: {each}}}" for index, each in enumerate(links, 1)]
    written = "\n".join((text, "links:", *lines))
    return Forwarding(resolve(loads_topology(written, "lab.yaml")))


PLAIN = "nodes: {a: {policy_routing: false}, b: {policy_routing: false}}"
TWICE = ("[a, b]", "[a, b]")


def test_a_node_takes_packets_for_its_other_addresses() -> None:
    nodes = "nodes: {a: {routes: [{to: 10.0.2.0/24, via: 10.0.1.2}]}, b: {}, r: {}}"
    forwarding = on_route(nodes, "[a, b]", "[b, r]")
    assert forwarding.reaches("a", "10.0.2.1", "10.0.1.1")
    assert not forwarding.reaches("a", "10.0.2.2", "10.0.1.1")  # b is no router


def test_a_host_that_forwards_by_a_sysctl_is_a_router() -> None:
    nodes = "nodes: {a: {routes: [{to: default, via: 10.0.1.2}]}, b: {%s}, r: {}}"
    for sysctls, expected in (("", False), ("sysctls: {net.ipv4.ip_forward: 1}", True)):
        forwarding = on_route(nodes % sysctls, "[a, b]", "[b, r]")
        assert forwarding.reaches("a", "10.0.2.2", "10.0.1.1") is expected


def test_arp_answers_for_addresses_of_other_interfaces() -> None:
    """A bound socket takes any IPv4 destination to be on its link, and there it may be."""
    forwarding = on_route(PLAIN, *TWICE)
    assert forwarding.connects("10.0.2.1", "10.0.1.2", "l2")
    assert not forwarding.connects("fd00:0:0:2::1", "fd00:0:0:1::2", "l2")
    ignoring = PLAIN.replace("b: {", "b: {sysctls: {net.ipv4.conf.all.arp_ignore: 1}, ")
    assert not on_route(ignoring, *TWICE).connects("10.0.2.1", "10.0.1.2", "l2")


def test_a_gateway_that_is_the_node_itself_says_on_link() -> None:
    nodes = "nodes: {a: {routes: [{to: 10.0.2.2/32, via: 10.0.1.1}], policy_routing: false}, b: {}}"
    hop = on_route(nodes, *TWICE).hop("a", "10.0.2.2")
    assert hop is not None
    assert (hop.interface.name, hop.gateway, hop.source) == ("l1", "10.0.2.2", "10.0.1.1")


@pytest.mark.parametrize(("table", "gateway"), [("", "10.0.2.2"), (", table: 1001", "10.0.1.1")])
def test_a_gateway_that_is_the_node_itself_is_asked_where_a_table_says_so(
    table: str, gateway: str
) -> None:
    """The kernel looks for a gateway in a route's own table first, unless it is the main one."""
    nodes = f"nodes: {{a: {{routes: [{{to: 10.0.2.2/32, via: 10.0.1.1{table}}}]}}, b: {{}}}}"
    forwarding = on_route(nodes, *TWICE)
    hop = forwarding.hop("a", "10.0.2.2", "10.0.1.1" if table else None)
    assert hop is not None
    assert (hop.interface.name, hop.gateway) == ("l1", gateway)
    assert (forwarding.neighbour(hop) is None) is bool(table)


def test_a_gateway_that_is_the_node_itself_is_found_before_other_routes() -> None:
    routes = "[{to: 10.0.1.1/32, interface: l2}, {to: 10.8.0.0/24, via: 10.0.1.1%s}]"
    nodes = f"nodes: {{a: {{policy_routing: false, routes: {routes}}}, b: {{}}}}"
    for interface, expected in (("", ("l1", "10.8.0.1")), (", interface: l2", ("l2", "10.0.1.1"))):
        hop = on_route(nodes % interface, *TWICE).hop("a", "10.8.0.1")
        assert hop is not None
        assert (hop.interface.name, hop.gateway) == expected


def test_a_replaced_ipv4_route_leads_to_no_gateway() -> None:
    routes = "[{to: 10.0.1.0/24, via: 10.0.2.2}, {to: 10.8.0.0/24, via: 10.0.1.2}]"
    with pytest.raises(InputError, match=r"10\.0\.1\.2 is not on a network"):
        on_route(f"nodes: {{a: {{policy_routing: false, routes: {routes}}}, b: {{}}}}", *TWICE)


def test_a_route_replaces_the_connected_one_of_ipv4_only() -> None:
    nodes = (
        "nodes: {b: {}, a: {policy_routing: false, routes: ["
        "{to: 10.0.1.0/24, via: 10.0.2.1}, {to: 'fd00:0:0:1::/64', via: 'fd00:0:0:2::1'}]}}"
    )
    forwarding = on_route(nodes, "[b, a]", "[b, a]")
    ways = [forwarding.hop("a", it) for it in ("10.0.1.1", "fd00:0:0:1::1")]
    assert [way and way.interface.name for way in ways] == ["l2", "l1"]


def test_an_unbound_socket_looks_again_with_the_source_it_got() -> None:
    """The rule of the chosen source leads to a table in which that route is not."""
    nodes = "nodes: {a: {routes: [{to: 10.0.2.2/32, via: 10.0.1.2}]}, b: {}}"
    forwarding = on_route(nodes, *TWICE)
    assert forwarding.hop("a", "10.0.2.2") is not None
    assert forwarding.source("a", "10.0.2.2") is None


def test_a_source_is_chosen_first_where_no_route_is_for_every_source() -> None:
    """IPv6 alone does so: the rule of the chosen source leads to a table with a route."""
    nodes = "nodes: {a: {routes: [{to: 'fd77::/64', via: 'fd00:0:0:2::2', table: 1002}]}, b: {}}"
    forwarding = on_route(nodes, *TWICE)
    assert forwarding.hop("a", "fd77::1") is None
    assert forwarding.hop("a", "fd77::1", "fd00:0:0:2::1") is not None
    assert forwarding.source("a", "fd77::1") is None  # fd00:0:0:1::1 is as good, and the first


def test_of_equal_ipv6_sources_the_last_one_is_taken() -> None:
    link = "{a: {addresses: ['fd99::1/64', 'fd99::3/64', 'fc99::1/64', '2001:db8::1/64']}, b: {}}"
    forwarding = on_route(PLAIN, link)
    assert forwarding.source("a", "fd99::2") == "fd99::3"
    assert forwarding.source("a", "2001:db8::2") == "2001:db8::1"


def test_of_equal_ipv6_sources_the_first_interface_goes_first() -> None:
    nodes = "nodes: {a: {routes: [{to: 'fd77::/64', via: 'fd00:0:0:2::2', table: 1001}]}, b: {}}"
    assert on_route(nodes, *TWICE).source("a", "fd77::1") == "fd00:0:0:1::1"


def test_a_router_takes_no_ipv4_packet_back_from_itself() -> None:
    """A bound socket sends it to a neighbour whose route leads back: a martian arrives."""
    nodes = (
        "nodes: {b: {kind: router}, c: {}, r: {kind: router, routes: ["
        "{to: default, via: 10.0.1.2}, {to: default, via: 'fd00:0:0:1::2'}]}}"
    )
    forwarding = on_route(nodes, "[r, b]", "[r, c]")
    assert not forwarding.reaches("r", "10.0.2.2", "10.0.1.1", "l1")
    assert forwarding.reaches("r", "fd00:0:0:2::2", "fd00:0:0:1::1", "l1")


def test_unreachable_is_for_bound_ipv6_sockets_no_route_at_all() -> None:
    nodes = (
        "nodes: {a: {policy_routing: false, routes: [{to: 'fd00:0:0:1::2/128', kind: unreachable},"
        " {to: 10.0.1.2/32, kind: unreachable}]}, b: {}}"
    )
    forwarding = on_route(nodes, "[a, b]")
    assert not forwarding.reaches("a", "fd00:0:0:1::2", "fd00:0:0:1::1")
    assert forwarding.reaches("a", "fd00:0:0:1::2", "fd00:0:0:1::1", "l1")


def test_a_gateway_may_be_on_link_by_another_route() -> None:
    routes = "[{to: 10.9.0.0/24, interface: l2}, {to: 10.8.0.0/24, via: 10.9.0.1}]"
    nodes = f"nodes: {{a: {{policy_routing: false, routes: {routes}}}, b: {{}}}}"
    hop = on_route(nodes, *TWICE).hop("a", "10.8.0.1")
    assert hop is not None
    assert (hop.interface.name, hop.gateway) == ("l2", "10.9.0.1")


def test_the_longest_ipv6_prefix_says_whether_a_gateway_is_on_link() -> None:
    """For IPv4 the kernel ignores routes that are not on link, with any prefix length."""
    nodes = (
        "nodes: {a: {policy_routing: false, routes: [{to: '%s', via: '%s'},"
        " {to: '%s', interface: l2}, {to: '%s', via: '%s'}]}, b: {}}"
    )
    four = ("10.9.1.0/24", "10.0.1.2", "10.9.0.0/16", "10.8.0.0/16", "10.9.1.1")
    hop = on_route(nodes % four, *TWICE).hop("a", "10.8.0.1")
    assert hop is not None
    assert hop.interface.name == "l2"
    six = ("fd09:1::/32", "fd00:0:0:1::2", "fd09::/16", "fd08::/16", "fd09:1::1")
    with pytest.raises(InputError, match="fd09:1::1 is not on a network"):
        on_route(nodes % six, *TWICE)


def test_a_written_route_comes_after_those_it_may_need() -> None:
    """Also where it takes the place of a computed one, which comes before all written ones."""
    nodes = (
        "nodes: {b: {}, r: {kind: router}, a: {kind: router, routes: ["
        "{to: 10.9.0.1/32, interface: l1}, {to: 10.0.2.0/24, via: 10.9.0.1}]}}"
    )
    document = loads_topology(nodes + "\nlinks: {l1: {between: [a, r]}, l2: {between: [r, b]}}")
    routes = [route.destination for route in resolve(document).node("a").routes]
    assert routes.index("10.9.0.1/32") < routes.index("10.0.2.0/24")
