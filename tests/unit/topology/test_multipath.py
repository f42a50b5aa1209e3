"""Equal-cost routes and fat trees."""

from __future__ import annotations

import pytest

from testbed.errors import InputError
from testbed.topology.forwarding import Forwarding, host
from testbed.topology.load import loads_topology
from testbed.topology.model import NextHop, Topology
from testbed.topology.operations import AddRoute
from testbed.topology.resolve import resolve
from testbed.topology.ways import ways_of

DIAMOND = """
multipath: MULTIPATH
nodes:
  a: {}
  b: {}
  r1: {kind: router}
  r2: {kind: router}
  up: {kind: router}
  down: {kind: router}
links:
  a: {between: [a, r1]}
  u1: {between: [r1, up]}
  d1: {between: [r1, down]}
  u2: {between: [up, r2]}
  d2: {between: [down, r2]}
  b: {between: [b, r2]}
"""


def diamond(multipath: str) -> Topology:
    return resolve(loads_topology(DIAMOND.replace("MULTIPATH", multipath)))


def test_all_ways_of_the_fewest_hops_are_in_one_route() -> None:
    topology = diamond("true")
    routes = {route.destination: route for route in topology.node("r1").routes}
    far = routes["10.0.6.0/24"]
    assert far.nexthops == (NextHop("10.0.2.2", "u1"), NextHop("10.0.3.2", "d1"))
    assert (far.via, far.interface) == (None, None)
    assert str(AddRoute(namespace="r1", route=far)) == (
        "ip -n r1 route replace 10.0.6.0/24 nexthop via 10.0.2.2 dev u1 nexthop via 10.0.3.2 dev d1"
    )
    assert routes["10.0.4.0/24"].via == "10.0.2.2"  # one way is shorter
    settings = [dict(topology.node(name).sysctls) for name in ("r1", "r2")]
    assert settings[0]["net.ipv4.fib_multipath_hash_policy"] == "3"
    seed = "net.ipv4.fib_multipath_hash_seed"
    # With one seed all routers would choose the same way.
    assert settings[0][seed] != settings[1][seed]


def test_without_multipath_the_first_way_is_taken() -> None:
    topology = diamond("false")
    routes = {route.destination: route for route in topology.node("r1").routes}
    assert (routes["10.0.6.0/24"].via, routes["10.0.6.0/24"].nexthops) == ("10.0.2.2", ())
    assert "net.ipv4.fib_multipath_hash_policy" not in dict(topology.node("r1").sysctls)


def test_which_links_a_connection_crosses_is_not_known() -> None:
    pairs = [("10.0.1.1", "10.0.6.1")]
    assert ways_of(diamond("true"), pairs, Forwarding(diamond("true"))) == ()
    assert len(ways_of(diamond("false"), pairs, Forwarding(diamond("false")))) == 1


def test_a_fat_tree_joins_all_its_hosts_by_equal_ways() -> None:
    topology = resolve(loads_topology("multipath: true\ngenerate: {fat_tree: {ports: 4}}"))
    kinds = [str(node.kind) for node in topology.nodes]
    assert (kinds.count("router"), kinds.count("host"), len(topology.links)) == (20, 16, 48)
    address = {
        node.name: host(node.interfaces[0].addresses[0])
        for node in topology.nodes
        if node.kind == "host"
    }
    forwarding = Forwarding(topology)
    assert all(forwarding.connects(address["h1"], address[f"h{i}"]) for i in range(2, 17))
    edge = {route.destination: route for route in topology.node("e1x1").routes}
    network = topology.node("h16").interfaces[0].addresses[0].replace(".1/", ".0/")
    assert [each.interface for each in edge[network].nexthops] == ["e1x1-a1x1", "e1x1-a1x2"]


def links(topology: Topology, source: str, destination: str) -> set[str]:
    """Return the links of the way from one address to another."""
    (way,) = ways_of(topology, [(source, destination)], Forwarding(topology))
    return set(way.links)


@pytest.mark.parametrize("other", ["h2", "h5", "h16"])  # on one switch with h1, and on none
def test_a_bcube_has_a_way_of_its_own_for_each_level(other: str) -> None:
    topology = resolve(loads_topology("generate: {bcube: {ports: 4, levels: 2}}"))
    kinds = [str(node.kind) for node in topology.nodes]
    assert (kinds.count("relay"), kinds.count("switch"), len(topology.links)) == (16, 8, 32)
    ends = [
        [host(each.addresses[0]) for each in topology.node(name).interfaces]
        for name in ("h1", other)
    ]
    first, second = (links(topology, *pair) for pair in zip(*ends, strict=True))
    assert first
    assert not first & second


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{bcube: {ports: 1, levels: 2}}", "generate.bcube.ports"),
        ("{bcube: {ports: 30, levels: 3}}", "generate.bcube.ports: the topology has 29700 nodes"),
        ("{fat_tree: {ports: 3}}", "generate.fat_tree.ports"),
        ("{fat_tree: {ports: 40}}", "generate.fat_tree.ports: the topology has 18000 nodes"),
    ],
)
def test_fat_trees_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve(loads_topology(f"generate: {text}"))
    assert message in str(caught.value)
