"""What a topology resolves to: addresses, routes, sysctls, endpoints, and every bad input."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import pytest

from testbed.errors import InputError
from testbed.topology.load import loads_topology
from testbed.topology.model import EndpointFlag, Family, Limits, Node, Topology
from testbed.topology.resolve import resolve

TWO = "nodes: {client: {}, server: {}}\nlinks:\n  wifi: {between: [client, server]}\n"


def load(text: str) -> Topology:
    return resolve(loads_topology(text, "lab.yaml"))


def error_of(text: str) -> str:
    with pytest.raises(InputError) as caught:
        load(text)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def addresses(node: Node) -> list[str]:
    return [address for interface in node.interfaces for address in interface.addresses]


BAD = {
    "no nodes": ("links: {}", "lab.yaml:1: nodes: there are no nodes"),
    "missing node": (
        "nodes: {client: {}, server: {}}\nlinks:\n  a: {between: [client, servr]}",
        "lab.yaml:3: links.a.between[1]: there is no node 'servr'; did you mean 'server'?",
    ),
    "self loop": (
        "nodes: {a: {}}\nlinks:\n  x: {between: [a, a]}",
        "lab.yaml:3: links.x.between: a link is between two different nodes",
    ),
    "three ends": (
        "nodes: {a: {}, b: {}, c: {}}\nlinks:\n  x: {between: [a, b, c]}",
        "lab.yaml:3: links.x.between: a link is between two different nodes",
    ),
    "node name": (
        "nodes:\n  a/b: {}",
        "lab.yaml:2: nodes.a/b: 'a/b' is no name for a node",
    ),
    "switch name": (
        "nodes:\n  w0a: {kind: switch}",
        "lab.yaml:2: nodes.w0a: 'w0a' is no name for a switch",
    ),
    "switch sysctls": (
        "nodes:\n  s: {kind: switch, sysctls: {net.a: 1}}",
        "lab.yaml:2: nodes.s.sysctls: a switch has no sysctls",
    ),
    "interface of 16": (
        "nodes: {a: {}, b: {}}\nlinks:\n  abcdefghijklmnop: {between: [a, b]}",
        (
            "lab.yaml:3: links.abcdefghijklmnop: interface 'abcdefghijklmnop' at 'a' has 16"
            " characters; Linux takes 1 to 15; set links.abcdefghijklmnop.between.a.interface"
        ),
    ),
    "interface with slash": (
        "nodes: {a: {}, b: {}}\nlinks:\n  x:\n    between: {a: {interface: a/b}, b: {}}",
        "lab.yaml:4: links.x.between.a.interface: interface 'a/b' at 'a' holds a character",
    ),
    "interface lo": (
        "nodes: {a: {}, b: {}}\nlinks:\n  lo: {between: [a, b]}",
        "lab.yaml:3: links.lo: interface 'lo' at 'a' is taken by Linux itself",
    ),
    "interface twice": (
        (
            "nodes: {a: {}, b: {}}\nlinks:\n  x: {between: [a, b]}\n"
            "  y: {between: {a: {interface: x}, b: {}}}"
        ),
        "lab.yaml:4: links.y.between.a.interface: interface 'x' at 'a' is used twice",
    ),
    "loop of switches": (
        (
            "nodes: {s: {kind: switch}, t: {kind: switch}}\n"
            "links:\n  x: {between: [s, t]}\n  y: {between: [t, s]}"
        ),
        "lab.yaml:4: links.y: closes a loop of switches",
    ),
    "too many nodes": (
        "generate:\n  star: {count: 100000}",
        "lab.yaml:2: generate.star.count: 100001 nodes are asked for; 10000 is the most",
    ),
    "too many ports": (
        "generate: {star: {count: 2000}}",
        "lab.yaml:1: nodes.hub: 2000 links; a Linux bridge has at most 1023 ports",
    ),
    "too long a line": (
        "generate: {line: {count: 65}}",
        "lab.yaml:1: generate.line.count: 65 nodes in a line; 64 is the most",
    ),
    "generated twice": (
        "nodes: {h1: {}}\ngenerate:\n  star: {count: 2}",
        "lab.yaml:3: generate.star: makes 'h1', which exists already",
    ),
    "negative rate": (
        TWO + "  lte:\n    between: [client, server]\n    netem:\n      rate: -5mbit",
        "lab.yaml:7: links.lte.netem.rate: ",
    ),
    "unknown netem option": (
        TWO + "  lte: {between: [client, server], netem: {dely: 5ms}}",
        "lab.yaml:4: links.lte.netem.dely: ",
    ),
    "toward a stranger": (
        TWO + "  lte:\n    between: [client, server]\n    toward: {clint: {delay: 5ms}}",
        "lab.yaml:6: links.lte.toward.clint: 'clint' is not at this link; did you mean 'client'?",
    ),
    "address without prefix": (
        "nodes: {a: {}, b: {}}\nlinks:\n  x: {between: {a: {addresses: [10.1.0.1]}, b: {}}}",
        "lab.yaml:3: links.x.between.a.addresses[0]: '10.1.0.1' is no address with a prefix",
    ),
    "network address": (
        "nodes: {a: {}, b: {}}\nlinks:\n  x: {between: {a: {addresses: [10.1.0.0/24]}, b: {}}}",
        "lab.yaml:3: links.x.between.a.addresses[0]: 10.1.0.0/24 is the address of the network",
    ),
    "broadcast address": (
        "nodes: {a: {}, b: {}}\nlinks:\n  x: {between: {a: {addresses: [10.1.0.255/24]}, b: {}}}",
        "lab.yaml:3: links.x.between.a.addresses[0]: 10.1.0.255/24 is the broadcast address",
    ),
    "multicast address": (
        "nodes: {a: {}, b: {}}\nlinks:\n  x: {between: {a: {addresses: [ff02::1/64]}, b: {}}}",
        "lab.yaml:3: links.x.between.a.addresses[0]: ff02::1/64 is no unicast address",
    ),
    "duplicate address": (
        (
            "nodes: {a: {}, b: {}}\nlinks:\n  x:\n    between:\n"
            "      a: {addresses: [10.1.0.1/24]}\n      b: {addresses: [10.1.0.1/24]}"
        ),
        "lab.yaml:6: links.x.between.b.addresses[0]: 10.1.0.1 is used twice: 'a' has it already",
    ),
    "ends in two subnets": (
        (
            "nodes: {a: {}, b: {}}\nlinks:\n  x:\n    between:\n"
            "      a: {addresses: [10.1.0.1/24]}\n      b: {addresses: [10.2.0.1/24]}"
        ),
        "lab.yaml:6: links.x.between.b.addresses: 10.2.0.0/24 is not the subnet of the other end",
    ),
    "loop of addresses": (
        (
            "nodes: {a: {}, b: {}, c: {}}\nlinks:\n"
            "  x: {between: {a: {addresses: [10.1.0.1/24]}, b: {}}}\n"
            "  z: {between: [a, c]}\n"
            "  y: {between: {b: {addresses: [10.1.0.129/25]}, c: {}}}"
        ),
        (
            "lab.yaml:5: links.y.between.b.addresses[0]: 10.1.0.128/25 overlaps 10.1.0.0/24 of link"
            " 'x': a loop of addresses"
        ),
    ),
    "pool used up": (
        TWO + "  lte: {between: [client, server]}\naddressing:\n  ipv4: 10.0.0.0/24",
        "lab.yaml:6: addressing.ipv4: the pool 10.0.0.0/24 has no /24 left",
    ),
    "pool of the other family": (
        TWO + "addressing: {ipv4: 'fd00::/32'}",
        "lab.yaml:4: addressing.ipv4: fd00::/32 is not ipv4",
    ),
    "subnet used up": (
        (
            "nodes: {s: {kind: switch}, a: {}, b: {}, c: {}}\nlinks:\n"
            "  x: {between: {a: {addresses: [10.1.0.1/30]}, s: }}\n"
            "  y: {between: [b, s]}\n  z: {between: [c, s]}"
        ),
        "lab.yaml:5: links.z.between[0]: 10.1.0.0/30 has no address left for 'c'",
    ),
    "IPv6 over a small MTU": (
        TWO + "  lte: {between: [client, server], mtu: 1000}",
        "lab.yaml:4: links.lte.mtu: 1000 octets are too few for IPv6, which needs 1280",
    ),
    "sysctl of the host": (
        "nodes:\n  a: {sysctls: {kernel.hostname: x}}",
        (
            "lab.yaml:2: nodes.a.sysctls.\"kernel.hostname\": 'kernel.hostname' is no sysctl of a"
            " node; only net.* belongs to a network namespace"
        ),
    ),
    "sysctl of two lines": (
        'sysctls:\n  net.a.b: "1\\n2"\nnodes: {a: {}}',
        'lab.yaml:2: sysctls."net.a.b": the value is not one line',
    ),
    "signal and fullmesh": (
        TWO.replace("client: {}", "client: {mptcp: {endpoints: [signal, fullmesh]}}"),
        "lab.yaml:1: nodes.client.mptcp.endpoints: signal and fullmesh exclude each other",
    ),
    "port without signal": (
        TWO.replace(
            "client: {}",
            "client: {mptcp: {endpoints: [{interface: wifi, flags: [subflow], port: 9}]}}",
        ),
        "lab.yaml:1: nodes.client.mptcp.endpoints[0]: a port needs signal",
    ),
    "endpoint nowhere": (
        TWO.replace("client: {}", "client: {mptcp: {endpoints: [{interface: wfi, flags: []}]}}"),
        (
            "lab.yaml:1: nodes.client.mptcp.endpoints[0].interface: 'client' has no interface"
            " 'wfi'; did you mean 'wifi'?"
        ),
    ),
    "route via a stranger": (
        TWO.replace("client: {}", "client: {routes: [{to: default, via: 10.9.9.9}]}"),
        "lab.yaml:1: nodes.client.routes[0].via: 10.9.9.9 is on no network of 'client'",
    ),
    "route to nowhere": (
        TWO.replace("client: {}", "client: {routes: [{to: 10.9.9.9/8, via: 10.0.1.2}]}"),
        "lab.yaml:1: nodes.client.routes[0].to: '10.9.9.9/8' is no prefix",
    ),
    "route without a way": (
        TWO.replace("client: {}", "client: {routes: [{to: 10.9.0.0/16}]}"),
        "lab.yaml:1: nodes.client.routes[0]: a unicast route needs via or interface",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_one_clear_line(kind: str) -> None:
    text, message = BAD[kind]
    assert error_of(text).startswith(message)


def growth(work: Callable[[int], object]) -> float:
    """Return how many times as much processor time five times as much work takes."""

    def cost(size: int) -> float:
        started = time.process_time()
        work(size)
        return time.process_time() - started

    costs = [(cost(1), cost(5)) for _ in range(3)]  # the best of three, for others work here, too
    return min(much for _, much in costs) / min(little for little, _ in costs)


LINEAR = 12  # of five times as much: far below 25, whatever caches and collectors do


def test_too_many_written_nodes_are_refused_quickly() -> None:
    def refuse(size: int) -> None:
        count = 10_001 * size
        text = "nodes:\n" + "".join(f"  n{i}: {{}}\n" for i in range(count))
        assert f"{count} nodes are asked for; 10000 is the most" in error_of(text)

    assert growth(refuse) < LINEAR


def test_endless_routing_tables_are_refused() -> None:
    routers = "".join(f"  r{i}: {{kind: router}}\n" for i in range(600))
    links = "".join(f"  l{i}: {{between: [r{i}, r{i + 1}]}}\n" for i in range(599))
    assert "need 358202 routes; 200000 is the most" in error_of(f"nodes:\n{routers}links:\n{links}")


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


FLAGS = {
    "client: {}": [("subflow",), ("subflow",)],
    "client: {mptcp: false}": [],
    "client: {mptcp: {endpoints: none}}": [],
    "client: {mptcp: {endpoints: fullmesh}}": [("subflow", "fullmesh")] * 2,
    "client: {mptcp: {endpoints: [subflow, backup]}}": [("subflow", "backup")] * 2,
    "client: {mptcp: {endpoints: [{interface: lte, flags: [signal], id: 7}]}}": [("signal",)],
}


@pytest.mark.parametrize("client", FLAGS)
def test_endpoints_of_the_initiator(client: str) -> None:
    text = TWO + "  lte: {between: [client, server]}\n"
    topology = load(text.replace("client: {}", client))
    wanted = [tuple(map(EndpointFlag, flags)) for flags in FLAGS[client]]
    assert [endpoint.flags for endpoint in topology.node("client").endpoints] == wanted
    flags = [endpoint.flags for endpoint in topology.node("server").endpoints]
    assert flags == [(EndpointFlag.SIGNAL,)] * 2


def test_an_end_decides_about_its_own_endpoint() -> None:
    topology = load(
        TWO
        + "  lte:\n    between: {client: {endpoint: [subflow, backup]}, server: {endpoint: none}}"
    )
    assert [e.flags for e in topology.node("client").endpoints] == [
        (EndpointFlag.SUBFLOW,),
        (EndpointFlag.SUBFLOW, EndpointFlag.BACKUP),
    ]
    assert [e.address for e in topology.node("server").endpoints] == ["10.0.1.2"]


def test_only_eight_endpoints_of_a_node() -> None:
    links = "".join(f"  l{i}: {{between: [client, server]}}\n" for i in range(9))
    text = f"nodes: {{client: {{}}, server: {{}}}}\nlinks:\n{links}"
    assert len(load(text).node("client").endpoints) == 8
    written = text.replace("client: {}", "client: {mptcp: {endpoints: subflow}}")
    assert error_of(written).startswith(
        "lab.yaml:1: nodes.client.mptcp.endpoints: 'client' has more than 8 endpoints"
    )


def test_ids_of_endpoints_are_different() -> None:
    text = TWO + "  lte: {between: [client, server]}\n"
    entries = "{interface: wifi, flags: [subflow], id: 2}, {interface: lte, flags: [subflow]}"
    client = f"client: {{mptcp: {{endpoints: [{entries}]}}}}"
    ids = [e.id for e in load(text.replace("client: {}", client)).node("client").endpoints]
    assert ids == [2, 1]
    twice = client.replace("lte, flags: [subflow]", "lte, flags: [subflow], id: 2")
    assert "two endpoints have the id 2" in error_of(text.replace("client: {}", twice))


def test_limits() -> None:
    topology = load(
        "nodes: {a: {mptcp: {limits: {subflows: 2}}}, b: {mptcp: false}, r: {kind: router}, c: {}}"
    )
    assert topology.node("a").limits == Limits(subflows=2, add_addr_accepted=8)
    assert topology.node("b").limits is None
    assert topology.node("r").limits is None
    assert topology.node("c").limits == Limits(subflows=8, add_addr_accepted=8)


@pytest.mark.parametrize(
    ("mptcp", "override", "count"),
    [("{}", None, 1), ("{family: ipv6}", None, 1), ("{family: both}", None, 2)],
)
def test_family_of_endpoints(mptcp: str, override: Family | None, count: int) -> None:
    document = loads_topology(
        f"mptcp: {mptcp}\nnodes: {{a: {{mptcp: {{endpoints: subflow}}}}, b: {{}}}}\n"
        "links: {x: {between: [a, b]}}"
    )
    assert len(resolve(document, family=override).node("a").endpoints) == count
    only = resolve(document, family=Family.IPV6).node("a").endpoints
    assert [endpoint.address for endpoint in only] == ["fd00:0:0:1::1"]


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


def test_without_routers_networkx_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "networkx", None)
    load("generate: {star: {count: 3}}")
    with pytest.raises(ImportError):
        load("generate: {line: {count: 4}}")
