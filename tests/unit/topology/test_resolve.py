"""What a topology resolves to: addresses, shaping, sysctls and routes."""

from __future__ import annotations

import sys

import pytest

from testbed.topology.load import loads_topology
from testbed.topology.model import Topology
from testbed.topology.resolve import resolve
from tests.topologies import LINEAR, TWO, addresses, growth, load


def test_automatic_addresses_count_from_one() -> None:
    topology = load(TWO + "  lte: {between: [client, server]}\n")
    client = ["10.0.1.1/24", "fd00:0:0:1::1/64", "10.0.2.1/24", "fd00:0:0:2::1/64"]
    assert addresses(topology.node("client")) == client
    assert addresses(topology.node("server"))[0] == "10.0.1.2/24"


def test_a_segment_larger_than_254_gets_a_larger_subnet() -> None:
    topology = load("generate: {star: {count: 300}}\naddressing: {ipv6: null}")
    assert addresses(topology.node("h1")) == ["10.0.2.1/23"]
    assert addresses(topology.node("h300")) == ["10.0.3.44/23"]


def test_explicit_addresses_lead_the_others_of_the_segment() -> None:
    topology = load(
        "nodes: {a: {}, b: {}, c: {}}\nlinks:\n"
        "  x: {between: {a: {addresses: [10.0.1.7/29, 10.9.0.1/16]}, b: {}}}\n"
        "  y: {between: [b, c]}\n".replace("10.0.1.7/29", "10.0.1.1/29")
    )
    assert addresses(topology.node("a")) == ["10.0.1.1/29", "10.9.0.1/16"]
    assert addresses(topology.node("b"))[0] == "10.0.1.2/29"
    assert addresses(topology.node("c"))[0] == "10.0.2.2/24", "an explicit subnet is left out"


def test_an_end_has_just_the_addresses_it_names() -> None:
    ends = "{client: {addresses: [ipv6]}, server: {}}"
    topology = load(f"nodes: {{client: {{}}, server: {{}}}}\nlinks: {{x: {{between: {ends}}}}}")
    assert addresses(topology.node("client")) == ["fd00:0:0:1::1/64"]
    assert addresses(topology.node("server")) == ["fd00:0:0:1::2/64"], "no lone IPv4 address"


def test_netem_is_merged_per_direction() -> None:
    link = load(
        "nodes: {a: {}, b: {}}\n"
        "links: {x: {between: [a, b], netem: rate 20mbit delay 5ms, toward: {a: rate 50mbit}}}"
    ).link("x")
    assert link.wire
    assert link.toward_a.options() == {"rate": "50mbit", "delay": "5ms"}
    assert link.toward_b.options() == {"rate": "20mbit", "delay": "5ms"}


def test_a_link_has_a_wire_if_anything_is_said_about_shaping() -> None:
    wires = load(
        "nodes: {a: {}, b: {}}\nlinks:\n"
        "  x: {between: [a, b]}\n  y: {between: [a, b], netem: {}}\n"
        "  z: {between: [a, b], toward: {a: loss 1%}}\n"
    ).links
    assert [link.wire for link in wires] == [False, True, True]


def test_sysctls_of_the_node_come_last_and_are_written_once() -> None:
    topology = load(
        "sysctls: {net.ipv4.tcp_rmem: 1 2 3, net.mptcp.enabled: 1}\n"
        "nodes: {a: {sysctls: {net.ipv4.tcp_rmem: 4 5 6, net.ipv4.ip_forward: 1}}, b: {}}"
    )
    assert dict(topology.node("a").sysctls)["net.ipv4.tcp_rmem"] == "4 5 6"
    assert dict(topology.node("b").sysctls)["net.ipv4.tcp_rmem"] == "1 2 3"
    keys = [key for key, _ in topology.node("a").sysctls]
    assert len(keys) == len(set(keys))
    assert dict(topology.node("a").sysctls)["net.ipv4.ip_forward"] == "1"


def test_nodes_without_ipv6_have_it_switched_off() -> None:
    topology = load(TWO + "addressing: {ipv6: null}")
    sysctls = dict(topology.node("client").sysctls)
    assert sysctls["net.ipv6.conf.default.disable_ipv6"] == "1"


def test_a_router_among_many_keeps_its_link_local_address() -> None:
    topology = load(
        "nodes: {s: {kind: switch}, a: {}, b: {}, r: {kind: router}, q: {kind: router}}\nlinks:\n"
        "  x: {between: [a, s]}\n  y: {between: [b, s]}\n  z: {between: [r, s]}\n"
        "  v: {between: [r, q]}\n"
    )
    assert "net.ipv6.conf.default.addr_gen_mode" not in dict(topology.node("r").sysctls)
    assert dict(topology.node("q").sysctls)["net.ipv6.conf.default.addr_gen_mode"] == "1"
    assert topology.node("a").neighbours == ()


@pytest.mark.parametrize(
    "spec", ["{}", "{policy_routing: false}", "{routes: [{to: 'fd09::/16', interface: y}]}"]
)
def test_a_host_asks_for_neighbours_of_packets_from_its_other_addresses(spec: str) -> None:
    """It needs a link-local address for that; a host whose rules keep packets in place does not."""
    topology = load(
        f"nodes: {{s: {{kind: switch}}, a: {spec}, b: {{}}, c: {{}}}}\nlinks:\n"
        "  x: {between: [a, s]}\n  y: {between: [a, b]}\n  v: {between: [b, s]}\n"
        "  w: {between: [c, s]}\n"
    )
    quiet = "net.ipv6.conf.default.addr_gen_mode" in dict(topology.node("a").sysctls)
    assert quiet is (spec == "{}")


def test_a_host_behind_a_router_needs_one_route_per_family() -> None:
    topology = load("generate: {star: {count: 50, hub: router}}")
    assert [(r.destination, r.via) for r in topology.node("h9").routes] == [
        ("0.0.0.0/0", "10.0.9.2"),
        ("::/0", "fd00:0:0:9::2"),
    ]


def test_of_two_routers_the_nearer_one_is_taken() -> None:
    topology = load(
        "nodes: {h: {}, s: {kind: switch}, r: {kind: router}, q: {kind: router}, t: {}}\nlinks:\n"
        "  x: {between: [h, s]}\n  y: {between: [r, s]}\n  z: {between: [q, s]}\n"
        "  v: {between: [q, t]}\naddressing: {ipv6: null}"
    )
    routes = {route.destination: route.via for route in topology.node("h").routes}
    assert routes == {"0.0.0.0/0": "10.0.1.2", "10.0.2.0/24": "10.0.1.3"}


def test_a_written_route_takes_the_place_of_the_computed_one() -> None:
    text = "generate: {line: {count: 3}}\naddressing: {ipv6: null}"
    assert load(text).node("n1").routes[0].via == "10.0.1.2"
    topology = load(
        "nodes: {a: {routes: [{to: default, kind: unreachable}]}, r: {kind: router}, b: {}}\n"
        "links: {x: {between: [a, r]}, y: {between: [r, b]}}\naddressing: {ipv6: null}"
    )
    assert [route.kind for route in topology.node("a").routes] == ["unreachable"]


def test_policy_routing_can_be_turned_off() -> None:
    text = TWO + "  lte: {between: [client, server]}\n"
    client = load(text.replace("client: {}", "client: {policy_routing: false}")).node("client")
    assert client.rules == ()
    assert client.routes == ()
    assert [endpoint.interface for endpoint in client.endpoints] == ["wifi", "lte"]
    assert [e.interface for e in load(text).node("client").endpoints] == ["", ""]


def test_a_star_resolves_quickly() -> None:
    def star(size: int) -> Topology:
        return resolve(loads_topology(f"generate: {{star: {{count: {200 * size}}}}}"))

    assert growth(star) < LINEAR
    assert len({len(node.sysctls) for node in star(1).nodes if node.name != "hub"}) == 1


def test_routes_are_computed_without_networkx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "networkx", None)  # networkx takes 150 ms to load
    load("generate: {line: {count: 4}}")
