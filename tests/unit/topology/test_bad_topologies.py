"""Every bad input is one clear line, and it is said at once."""

from __future__ import annotations

import pytest

from testbed.errors import InputError
from tests.topologies import LINEAR, TWO, error_of, growth, load

BAD = {
    "no nodes": ("links: {}", "lab.yaml:1: nodes: the topology has no nodes"),
    "missing node": (
        "nodes: {client: {}, server: {}}\nlinks:\n  a: {between: [client, servr]}",
        "lab.yaml:3: links.a.between[1]: there is no node 'servr'; did you mean 'server'?",
    ),
    "self loop": (
        "nodes: {a: {}}\nlinks:\n  x: {between: [a, a]}",
        "lab.yaml:3: links.x.between: a link needs two different nodes",
    ),
    "three ends": (
        "nodes: {a: {}, b: {}, c: {}}\nlinks:\n  x: {between: [a, b, c]}",
        "lab.yaml:3: links.x.between: a link needs two different nodes",
    ),
    "node name": (
        "nodes:\n  a/b: {}",
        "lab.yaml:2: nodes.a/b: 'a/b' is not a valid name for a node",
    ),
    "switch name": (
        "nodes:\n  w0a: {kind: switch}",
        "lab.yaml:2: nodes.w0a: 'w0a' is not a valid name for a switch",
    ),
    "switch sysctls": (
        "nodes:\n  s: {kind: switch, sysctls: {net.a: 1}}",
        "lab.yaml:2: nodes.s.sysctls: a switch has no sysctls",
    ),
    "interface of 16": (
        "nodes: {a: {}, b: {}}\nlinks:\n  abcdefghijklmnop: {between: [a, b]}",
        (
            "lab.yaml:3: links.abcdefghijklmnop: interface 'abcdefghijklmnop' at 'a' has 16"
            " characters; Linux allows 1 to 15; set links.abcdefghijklmnop.between.a.interface"
        ),
    ),
    "interface with slash": (
        "nodes: {a: {}, b: {}}\nlinks:\n  x:\n    between: {a: {interface: a/b}, b: {}}",
        "lab.yaml:4: links.x.between.a.interface: interface 'a/b' at 'a' contains a character",
    ),
    "interface lo": (
        "nodes: {a: {}, b: {}}\nlinks:\n  lo: {between: [a, b]}",
        "lab.yaml:3: links.lo: interface 'lo' at 'a' is reserved by Linux",
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
        "lab.yaml:2: generate.star.count: the topology has 100001 nodes; the maximum is 10000",
    ),
    "too many ports": (
        "generate: {star: {count: 2000}}",
        "lab.yaml:1: nodes.hub: the switch has 2000 links; the maximum is 1023",
    ),
    "too long a line": (
        "generate: {line: {count: 65}}",
        "lab.yaml:1: generate.line.count: the line has 65 nodes; the maximum is 64",
    ),
    "shaping of generated links": (
        "generate:\n  star:\n    count: 9\n    netem: {rate: parsec}",
        "lab.yaml:4: generate.star.netem.rate: rate: 'parsec' is not a rate",
    ),
    "generated wires without a rate on a shared medium": (
        "generate:\n  line:\n    count: 9\n    netem: delay 1ms\n    duplex: half",
        "lab.yaml:5: generate.line.duplex: ",
    ),
    "generated twice": (
        "nodes: {h1: {}}\ngenerate:\n  star: {count: 2}",
        "lab.yaml:3: generate.star: generates 'h1', which already exists",
    ),
    "negative rate": (
        TWO + "  lte:\n    between: [client, server]\n    netem:\n      rate: -5mbit",
        "lab.yaml:7: links.lte.netem.rate: ",
    ),
    "unknown netem option": (
        TWO + "  lte: {between: [client, server], netem: {dely: 5ms}}",
        "lab.yaml:4: links.lte.netem.dely: ",
    ),
    "unknown option of a queue": (
        TWO + "  lte:\n    between: [client, server]\n    netem:\n      rate: 5mbit\n"
        "      queue:\n        kind: codel\n        traget: 5ms",
        (
            "lab.yaml:10: links.lte.netem.queue.traget: a queue codel has no option 'traget';"
            " did you mean 'target'?"
        ),
    ),
    "impossible option of a queue": (
        TWO + "  lte:\n    between: [client, server]\n    netem:\n      rate: 5mbit\n"
        "      queue: {kind: pie, target: 5ms,\n        alpha: 40}",
        "lab.yaml:8: links.lte.netem.queue: queue: alpha: must be between 0 and 32",
    ),
    "a queue of no kind": (
        TWO + "  lte: {between: [client, server], netem: {rate: 5mbit, queue: {target: 5ms}}}",
        "lab.yaml:4: links.lte.netem.queue: the kind is missing",
    ),
    "a queue without a rate": (
        TWO + "  lte: {between: [client, server], netem: {queue: codel}}",
        "lab.yaml:4: links.lte.netem: queue: needs a rate, or nothing waits",
    ),
    "toward a stranger": (
        TWO + "  lte:\n    between: [client, server]\n    toward: {clint: {delay: 5ms}}",
        "lab.yaml:6: links.lte.toward.clint: 'clint' is not an end of this link; did you mean",
    ),
    "address without prefix": (
        "nodes: {a: {}, b: {}}\nlinks:\n  x: {between: {a: {addresses: [10.1.0.1]}, b: {}}}",
        "lab.yaml:3: links.x.between.a.addresses[0]: '10.1.0.1' is not an address with a prefix",
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
        "lab.yaml:3: links.x.between.a.addresses[0]: ff02::1/64 is not a unicast address",
    ),
    "duplicate address": (
        (
            "nodes: {a: {}, b: {}}\nlinks:\n  x:\n    between:\n"
            "      a: {addresses: [10.1.0.1/24]}\n      b: {addresses: [10.1.0.1/24]}"
        ),
        "lab.yaml:6: links.x.between.b.addresses[0]: 10.1.0.1 is already an address of 'a'",
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
            " 'x'; give each link a subnet of its own, or join the links with a switch"
        ),
    ),
    "pool used up": (
        TWO + "  lte: {between: [client, server]}\naddressing:\n  ipv4: 10.0.0.0/24",
        "lab.yaml:6: addressing.ipv4: the pool 10.0.0.0/24 has too few /24 subnets",
    ),
    "pool of the other family": (
        TWO + "addressing: {ipv4: 'fd00::/32'}",
        "lab.yaml:4: addressing.ipv4: fd00::/32 is not an ipv4 prefix",
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
        "lab.yaml:4: links.lte.mtu: an MTU of 1000 octets is too small for IPv6, which needs 1280",
    ),
    "sysctl of the host": (
        "nodes:\n  a: {sysctls: {kernel.hostname: x}}",
        (
            "lab.yaml:2: nodes.a.sysctls.\"kernel.hostname\": 'kernel.hostname' is not a sysctl of"
            " a node; a network namespace has only sysctls net.*"
        ),
    ),
    "sysctl of two lines": (
        'sysctls:\n  net.a.b: "1\\n2"\nnodes: {a: {}}',
        'lab.yaml:2: sysctls."net.a.b": the value must be one line',
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
        "lab.yaml:1: nodes.client.routes[0].via: 10.9.9.9 is not on a network of 'client'",
    ),
    "route written twice": (
        TWO.replace(
            "client: {}",
            "client: {routes: [{to: 10.9.0.0/16, interface: wifi},"
            " {to: 10.9.0.0/16, via: 10.0.1.2}]}",
        ),
        (
            "lab.yaml:1: nodes.client.routes[1]: there is already a route to 10.9.0.0/16 in table"
            " 254"
        ),
    ),
    "IPv6 route without IPv6": (
        "addressing: {ipv6: null}\n"
        + TWO.replace("client: {}", "client: {routes: [{to: '::/0', interface: wifi}]}"),
        (
            "lab.yaml:2: nodes.client.routes[0]: 'client' has no IPv6 address, so Linux accepts"
            " no IPv6 route there"
        ),
    ),
    "IPv6 route via itself": (
        TWO.replace("client: {}", "client: {routes: [{to: default, via: 'fd00:0:0:1::1'}]}"),
        ("lab.yaml:1: nodes.client.routes[0].via: fd00:0:0:1::1 is an address of 'client' itself"),
    ),
    "route to nowhere": (
        TWO.replace("client: {}", "client: {routes: [{to: 10.9.9.9/8, via: 10.0.1.2}]}"),
        "lab.yaml:1: nodes.client.routes[0].to: '10.9.9.9/8' is not a prefix",
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


def test_a_mistake_in_a_generator_is_named_once_however_many_links_it_makes() -> None:
    with pytest.raises(InputError) as caught:
        load("generate: {star: {count: 9, netem: {rate: fast}}}")
    assert [each.path for each in caught.value.every] == ["generate.star.netem.rate"]


def test_all_mistakes_are_named_at_once() -> None:
    text = (
        "sysctls: {vm.swappiness: 1}\n"
        "nodes: {a: {}, b: {sysctls: {kernel.x: 1}}}\n"
        "links:\n"
        "  x: {between: [a, c], netem: {delay: 5xs, rate: fast}}\n"
        "  y: {between: [a, b], netem: loss 5x, toward: {b: {delay: soon}}}\n"
    )
    with pytest.raises(InputError) as caught:
        load(text)
    assert sorted(f"{error.line} {error.path}" for error in caught.value.every) == [
        '1 sysctls."vm.swappiness"',
        '2 nodes.b.sysctls."kernel.x"',
        "4 links.x.between[1]",
        "4 links.x.netem.delay",
        "4 links.x.netem.rate",
        "5 links.y.netem",
    ]


def test_all_addresses_and_interfaces_that_are_wrong_are_named_at_once() -> None:
    links = (
        "nodes: {a: {}, b: {}}\n"
        "links:\n"
        "  x: {between: {a: {interface: %s, addresses: [%s]}, b: {interface: %s}}}\n"
        "  y: {between: {a: {addresses: [%s]}, b: {}}}\n"
    )
    for text in (
        links % ("a/b", "ipv4", "lo", "ipv4"),
        links % ("x", "1.2.3/x", "x", "10.0.0.0/8"),
    ):
        with pytest.raises(InputError) as caught:
            load(text)
        assert len(caught.value.every) == 2


def test_too_many_written_nodes_are_refused_quickly() -> None:
    def refuse(size: int) -> None:
        count = 10_001 * size
        text = "nodes:\n" + "".join(f"  n{i}: {{}}\n" for i in range(count))
        assert f"the topology has {count} nodes; the maximum is 10000" in error_of(text)

    assert growth(refuse) < LINEAR


def test_endless_routing_tables_are_refused() -> None:
    routers = "".join(f"  r{i}: {{kind: router}}\n" for i in range(600))
    links = "".join(f"  l{i}: {{between: [r{i}, r{i + 1}]}}\n" for i in range(599))
    assert "need 358202 routes; the maximum is 200000" in error_of(
        f"nodes:\n{routers}links:\n{links}"
    )
