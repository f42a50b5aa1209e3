"""Topologies of public data."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import InputError
from testbed.interchange.public_topologies import (
    Choices,
    Graph,
    imported,
    read_rtt_matrix,
    read_topology_zoo,
)
from testbed.topology.forwarding import Forwarding, host
from testbed.topology.load import loads_topology
from testbed.topology.model import Topology
from testbed.topology.resolve import resolve
from testbed.topology.ways import ways_of

EXAMPLES = Path(__file__).parent.parent.parent.parent / "docs/examples/public"


def text_of(graph: Graph, choices: Choices) -> str:
    return imported(graph, choices, "file", "format").text()


def topology_of(graph: Graph, choices: Choices) -> Topology:
    return resolve(loads_topology(text_of(graph, choices)))


def address(topology: Topology, node: str) -> str:
    return host(topology.node(node).interfaces[0].addresses[0])


def test_a_network_of_the_zoo_has_the_delays_of_its_distances() -> None:
    graph = read_topology_zoo((EXAMPLES / "abilene.graphml").read_text(), "abilene.graphml")
    assert (len(graph.places), len(graph.edges)) == (11, 14)
    topology = topology_of(graph, Choices(divide=1000))
    link = topology.link("l1")  # New York - Chicago: 1145 km
    assert {link.a.node, link.b.node} == {"New-York", "Chicago"}
    assert link.toward_a.rate is not None
    assert link.toward_a.delay is not None
    assert link.toward_a.rate.bits_per_second == 10_000_000
    assert 5_600_000 < link.toward_a.delay.delay_ns < 5_800_000
    source, target = address(topology, "h-Seattle"), address(topology, "h-Atlanta")
    (way,) = ways_of(topology, [(source, target)], Forwarding(topology))
    assert len(way.links) == 2 + 4  # over Denver, Kansas City and Indianapolis, or Houston


def test_a_matrix_of_times_is_a_link_for_each_pair() -> None:
    graph = read_rtt_matrix((EXAMPLES / "cities.csv").read_text(), "cities.csv")
    topology = topology_of(graph, Choices(rate=50_000_000, hosts=("London", "Tokyo")))
    delays = {
        frozenset((link.a.node, link.b.node)): link.toward_a.delay.delay_ns
        for link in topology.links
        if link.toward_a.delay is not None
    }
    assert len(delays) == 6
    assert delays[frozenset(("New-York", "Frankfurt"))] == 41_500_000  # (82 + 84) / 2 / 2
    hosts = [node.name for node in topology.nodes if node.name.startswith("h-")]
    assert hosts == ["h-London", "h-Tokyo"]


def test_places_of_one_name_are_told_apart_and_loops_left_out() -> None:
    nodes = "".join(
        f'<node id="{i}"><data key="l">{name}</data></node>' for i, name in enumerate(["A b"] * 3)
    )
    text = (
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
        '<key attr.name="label" attr.type="string" for="node" id="l"/>'
        f'<graph edgedefault="undirected">{nodes}<edge source="0" target="1"/>'
        '<edge source="1" target="1"/><edge source="1" target="2"/></graph></graphml>'
    )
    graph = read_topology_zoo(text, "x.graphml")
    assert graph.places == ("A-b", "A-b-2", "A-b-3")
    assert len(graph.edges) == 2
    assert "delay: 1ms" in text_of(graph, Choices())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ms,a,b\na,,1\nb,x,", "m.csv:3: 'x' is not a time in ms"),
        ("ms,a,b\na,,1\nc,1,", "m.csv:1: the columns and the rows have different names"),
        ("\nms,a,b\n\na,,1\nb,x,", "m.csv:5: 'x' is not a time in ms"),
        ("ms,a\na,", "m.csv: has fewer than two rows"),
        ("", "m.csv: has fewer than two rows"),
        (f"ms,a,b\na,,{'1' * 200_000}\nb,1,", "m.csv:2: is not CSV: field larger than"),
    ],
)
def test_what_is_wrong_with_a_matrix_is_said(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_rtt_matrix(text, "m.csv")
    assert str(caught.value).startswith(message)


def test_values_that_no_place_or_link_has_count_as_missing(
    recwarn: pytest.WarningsRecorder,
) -> None:
    text = (
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
        '<key attr.name="Latitude" for="node" id="lat"/>'
        '<key attr.name="Longitude" for="node" id="lon"/>'
        '<key attr.name="LinkSpeedRaw" for="edge" id="speed"/><graph edgedefault="undirected">'
        '<node id="1"><data key="lat">1</data><data key="lon">inf</data></node>'
        '<node id="2"><data key="lat">nan</data><data key="lon">1</data></node>'
        '<node id="3"><data key="lat">1</data><data key="lon">1</data></node>'
        '<edge source="1" target="2"><data key="speed">inf</data></edge>'
        '<edge source="2" target="3"/></graph></graphml>'
    )
    assert [(it.rate, it.delay_ns) for it in read_topology_zoo(text, "x.graphml").edges] == [
        (None, None),
        (None, None),
    ]
    assert not recwarn.list, "of keys without a type"


def test_what_is_no_graphml_is_said() -> None:
    with pytest.raises(InputError, match=r"x.graphml: is not GraphML: "):
        read_topology_zoo("nodes: {}", "x.graphml")


def test_a_host_where_there_is_no_place_is_refused() -> None:
    graph = read_rtt_matrix("ms,Rome,Oslo\nRome,,9\nOslo,9,\n", "m.csv")
    with pytest.raises(InputError, match="there is no place 'Rom'; did you mean 'Rome'"):
        text_of(graph, Choices(hosts=("Rom",)))
