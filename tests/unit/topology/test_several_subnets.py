"""Segments with several subnets: who reaches whom, and over which gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import InputError
from testbed.topology.forwarding import Forwarding
from testbed.topology.load import load_topology, loads_topology
from testbed.topology.resolve import resolve

CARDS = Path(__file__).parent.parent.parent.parent / "topologies/two_cards.yaml"

ROUTED = """
nodes: {a: {}, b: {}, far: {}, lan: {kind: switch}, r: {kind: router}}
links:
  a: {between: {a: {addresses: [10.1.0.1/24]}, lan: }}
  b: {between: {b: {addresses: [10.2.0.1/24]}, lan: }}
  r: {between: {r: {addresses: [10.2.0.9/24, 10.1.0.9/24]}, lan: }}
  out: {between: {r: , far: {addresses: [10.9.0.2/24, 10.8.0.2/24]}}}
"""


def test_each_card_of_a_host_reaches_the_address_in_its_subnet() -> None:
    topology = resolve(load_topology(CARDS))
    forwarding = Forwarding(topology)
    assert forwarding.connects("10.1.0.2", "10.1.0.1")
    assert forwarding.connects("10.2.0.2", "10.2.0.1")
    assert not forwarding.connects("10.1.0.2", "10.2.0.1")  # no router joins the subnets
    client = topology.node("client")
    assert dict(client.sysctls)["net.ipv4.conf.all.arp_ignore"] == "1"


def test_a_router_joins_the_subnets_of_its_segment() -> None:
    topology = resolve(loads_topology(ROUTED))
    forwarding = Forwarding(topology)
    (way_out,) = topology.node("a").routes
    assert (way_out.destination, way_out.via) == ("0.0.0.0/0", "10.1.0.9")
    assert topology.node("b").routes[0].via == "10.2.0.9"
    for source, target in (("10.1.0.1", "10.2.0.1"), ("10.1.0.1", "10.9.0.2")):
        assert forwarding.connects(source, target), (source, target)
    hop = forwarding.hop("a", "10.2.0.1")
    assert hop is not None
    assert hop.gateway == "10.1.0.9"


def test_a_subnet_that_only_one_end_has_is_refused() -> None:
    text = ROUTED.replace("10.2.0.9/24, 10.1.0.9/24", "10.1.0.9/24")
    with pytest.raises(InputError) as caught:
        resolve(loads_topology(text, "lab.yaml"))
    assert "lab.yaml:5: links.b.between.b.addresses: 10.2.0.0/24 is not the subnet of" in str(
        caught.value
    )
