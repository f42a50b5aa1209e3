"""``routing: hosts``: routers know the subnets of hosts, by ways that are the shortest."""

from __future__ import annotations

from random import Random

import networkx as nx
import pytest

from testbed.errors import InputError
from testbed.topology.forwarding import Forwarding, host
from testbed.topology.load import loads_topology
from testbed.topology.model import Topology
from testbed.topology.resolve import resolve
from testbed.topology.ways import ways_of


def random_network(routers: int, hosts: int, seed: int, routing: str) -> str:
    random = Random(seed)
    edges = {(random.randrange(index), index) for index in range(1, routers)}
    while len(edges) < routers + routers // 4:
        edges.add(tuple(sorted(random.sample(range(routers), 2))))  # type: ignore[arg-type]
    names = [(f"r{a}", f"r{b}") for a, b in sorted(edges)]
    names += [(f"h{index}", f"r{random.randrange(routers)}") for index in range(hosts)]
    lines = [f"routing: {routing}", "nodes:"]
    lines += [f"  r{index}: {{kind: router}}" for index in range(routers)]
    lines += [f"  h{index}: {{}}" for index in range(hosts)]
    lines += ["links:"]
    lines += [f"  l{i}: {{between: [{a}, {b}]}}" for i, (a, b) in enumerate(names)]
    return "\n".join(lines)


def routes_of(topology: Topology) -> int:
    return sum(len(node.routes) for node in topology.nodes)


@pytest.mark.parametrize("routing", ["all", "hosts"])
def test_hosts_reach_each_other_by_the_fewest_hops(routing: str) -> None:
    topology = resolve(loads_topology(random_network(40, 6, 5, routing)))
    graph = nx.Graph((link.a.node, link.b.node) for link in topology.links)
    addresses = {
        f"h{index}": host(topology.node(f"h{index}").interfaces[0].addresses[0])
        for index in range(6)
    }
    pairs = [(a, b) for a in addresses for b in addresses if a < b]
    ways = ways_of(topology, [(addresses[a], addresses[b]) for a, b in pairs], Forwarding(topology))
    lengths = {(way.source, way.destination): len(way.links) for way in ways}
    for a, b in pairs:
        expected = nx.shortest_path_length(graph, a, b)
        assert lengths[addresses[a], addresses[b]] == expected


def test_a_thousand_nodes_have_few_routes_to_hosts_and_too_many_to_all() -> None:
    topology = resolve(loads_topology(random_network(980, 20, 1, "hosts")))
    assert routes_of(topology) < 2 * 980 * 21
    with pytest.raises(
        InputError, match=r"need .* routes; the maximum is 200000; set `routing: hosts`"
    ):
        resolve(loads_topology(random_network(980, 20, 1, "all")))
