"""VLANs, tunnels and VRFs: what a file's words become, and which of them are refused."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from testbed.errors import InputError
from testbed.topology.devices import Gre, Vlan, Vrf, WireGuard
from testbed.topology.forwarding import Forwarding
from testbed.topology.keys import private_key, public_key, x25519
from testbed.topology.load import load_topology
from testbed.topology.model import Family, Route
from testbed.topology.operations import AddDevice, AddRule, AddWire, SetMaster, SetWireGuard
from testbed.topology.plan import plan
from testbed.topology.resolve import resolve
from testbed.topology.ways import ways_of
from tests.topologies import addresses, error_of, load

SHIPPED = Path(__file__).parent.parent.parent.parent / "topologies"

TRUNK = """
nodes: {a: , b: }
links:
  t: {between: [a, b], vlan: [10, 20]}
"""

ROUTED = """
nodes: {a: , r: {kind: router}, s: {kind: router}, b: }
links:
  ar: {between: [a, r]}
  rs: {between: [r, s]}
  sb: {between: [s, b]}
tunnels:
  t: {between: [r, s], kind: %s}
"""


def shipped(name: str) -> Path:
    return SHIPPED / f"{name}.yaml"


def test_a_vlan_is_an_interface_on_each_card_with_a_subnet_of_its_own() -> None:
    a = load(TRUNK).node("a")
    card, ten, twenty = a.interfaces
    assert card.addresses == ()
    assert (ten.name, ten.link, ten.device) == ("t.10", "t.10", Vlan(lower="t", id=10))
    assert ten.addresses == ("10.0.1.1/24", "fd00:0:0:1::1/64")
    assert twenty.addresses[0] == "10.0.2.1/24"
    assert {ten.mac, twenty.mac} == {card.mac}
    assert [endpoint.address for endpoint in a.endpoints] == ["10.0.1.1", "10.0.2.1"]


def test_what_is_said_of_a_vlans_end_holds() -> None:
    text = TRUNK.replace("[10, 20]", "{10: {a: {interface: red, addresses: [10.7.0.9/24]}}, 20: }")
    topology = load(text)
    assert topology.node("a").interface("red").addresses == ("10.7.0.9/24",)
    assert addresses(topology.node("b"))[0] == "10.7.0.1/24"


def test_a_card_has_addresses_beside_its_vlans_if_the_file_says_so() -> None:
    text = TRUNK.replace("[a, b]", "{a: {addresses: [ipv4]}, b: {addresses: [ipv4]}}")
    assert load(text).node("a").interface("t").addresses == ("10.0.1.1/24",)


def test_vlans_of_one_number_hear_one_another_across_a_switch() -> None:
    topology = resolve(load_topology(shipped("vlans")))
    forwarding = Forwarding(topology)
    assert forwarding.connects("10.0.1.1", "10.0.1.2")
    assert not forwarding.connects("10.0.1.1", "10.0.2.2")
    (way,) = ways_of(topology, [("10.0.2.1", "10.0.2.2")], forwarding)
    assert (way.link, way.links, way.forward) == ("trunk.20", ("trunk", "port"), 20_000_000)


def test_wires_that_carry_vlans_are_netems() -> None:
    written = load_topology(shipped("vlans"))
    (wire,) = (it for it in plan(resolve(written)).operations if isinstance(it, AddWire))
    assert wire.engine == "netem"
    with pytest.raises(InputError, match="the emulator cannot carry VLANs"):
        plan(resolve(written), engine="emulator")


def test_an_untagged_link_beside_them_may_be_the_emulators() -> None:
    text = TRUNK + "  u: {between: [a, b], netem: {}}\n"
    (wire,) = (it for it in plan(load(text)).operations if isinstance(it, AddWire))
    assert wire.engine == "auto"


@pytest.mark.parametrize(
    ("kind", "local", "mtu"),
    [("gre", "10.0.1.2", 1476), ("ip6gre", "fd00:0:0:1::2", 1456), ("wireguard", "10.0.1.2", 1440)],
)
def test_a_tunnel_goes_between_addresses_of_its_family(kind: str, local: str, mtu: int) -> None:
    text = ROUTED.replace("[r, s]", "{r: {local: ar}, s: }", 2).replace(
        "{r: {local: ar}, s: }", "[r, s]", 1
    )
    if kind == "wireguard":
        text = text.replace("r: {local: ar}", "r: {local: rs}")
        local = local.replace("1.2", "2.1")
    near, far = (load(text % kind).node(node).interface("t") for node in ("r", "s"))
    assert isinstance(near.device, Gre | WireGuard)
    assert (near.device.kind, near.device.local, near.mtu) == (kind, local, mtu)
    assert isinstance(far.device, Gre | WireGuard)
    assert (far.device.local, far.device.remote) == (near.device.remote, near.device.local)
    assert (near.mac, near.addresses[0]) == ("", "10.0.4.1/24")


def test_routes_lead_through_a_tunnel_only_where_there_is_no_other_way() -> None:
    topology = load(ROUTED % "gre")
    assert (
        Route(destination="10.0.3.0/24", via="10.0.2.2", interface="rs")
        in topology.node("r").routes
    )
    forwarding = Forwarding(topology)
    assert forwarding.reaches("a", "10.0.3.2", "10.0.1.1")


def test_what_lies_behind_a_tunnel_alone_is_reached_through_it() -> None:
    text = ROUTED.replace("b: }", "b: , far: , s2: {kind: router}}")
    text = text.replace("  rs:", "  r2: {between: [r, s2], netem: {}}\n  rs:")
    text = text.replace("  sb:", "  far: {between: {s2: , far: {addresses: [ipv4]}}}\n  sb:")
    topology = load(text.replace("between: [r, s], kind", "between: [s, s2], kind") % "gre")
    far = topology.node("far").interfaces[0].addresses[0].partition("/")[0]
    hop = Forwarding(topology).hop("s", far)
    assert hop is not None
    assert hop.interface.name == "rs"  # over r, although the tunnel is shorter


def test_a_tunnel_does_not_carry_itself() -> None:
    text = ROUTED.replace("b: }", "b: , x: {kind: router}, far: }", 1)
    text = text.replace("  rs:", "  xf: {between: [x, far]}\n  rs:").replace(
        "[r, s], kind", "[r, x], kind"
    )
    assert "tunnels.t: 10.0.2.1 of 'x' is reached only through another tunnel" in error_of(
        text % "gre"
    )


def test_a_way_through_a_tunnel_crosses_the_links_that_carry_it() -> None:
    topology = resolve(load_topology(shipped("vpn")))
    forwarding = Forwarding(topology)
    vpn = topology.node("phone").interface("vpn").addresses[0].partition("/")[0]
    server = topology.node("server").interfaces[0].addresses[0].partition("/")[0]
    (way,) = ways_of(topology, [(vpn, server)], forwarding)
    assert (way.link, way.links) == ("vpn", ("lte", "uplink", "lan"))
    assert way.forward == 30_000_000


def test_wireguard_leaves_by_the_interface_that_is_named() -> None:
    topology = resolve(load_topology(shipped("vpn")))
    operations = plan(topology).operations
    (rule,) = (it.rule for it in operations if isinstance(it, AddRule) and it.rule.mark)
    (set_,) = (it for it in operations if isinstance(it, SetWireGuard) and it.namespace == "phone")
    assert rule.mark == set_.peered.mark == 1002  # the table of lte
    assert set_.peered.endpoint == "10.0.4.2"


def test_keys_of_wireguard_follow_from_the_seed() -> None:
    topology = resolve(load_topology(shipped("vpn")))

    def peers(seed: int) -> dict[str, SetWireGuard]:
        operations = plan(topology, seed=seed).operations
        return {it.namespace: it for it in operations if isinstance(it, SetWireGuard)}

    assert peers(1) == peers(1)
    assert peers(1) != peers(2)
    phone, gateway = (peers(1)[node].peered for node in ("phone", "gateway"))
    assert public_key(phone.private_key) == gateway.peer_key
    assert public_key(gateway.private_key) == phone.peer_key
    assert phone.private_key == private_key(1, "vpn", "phone")


def test_x25519_is_that_of_rfc_7748() -> None:
    """The first vector of section 5.2, and the one iteration that follows there."""
    scalar = "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"
    point = "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"
    result = "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
    assert x25519(bytes.fromhex(scalar), bytes.fromhex(point)).hex() == result
    nine = (9).to_bytes(32, "little")
    once = "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
    assert x25519(nine, nine).hex() == once
    public = public_key(base64.b64encode(nine).decode())
    assert base64.b64decode(public).hex() == once


def test_a_vrf_keeps_interfaces_apart() -> None:
    topology = resolve(load_topology(shipped("vrf")))
    forwarding = Forwarding(topology)
    of = {node.name: addresses(node) for node in topology.nodes}

    def reaches(source: str, destination: str, family: Family) -> bool:
        a, b = (of[name][family is Family.IPV6].partition("/")[0] for name in (source, destination))
        return forwarding.connects(a, b)

    for family in Family:
        assert reaches("red-a", "red-b", family)
        assert reaches("blue-a", "blue-b", family)
        assert not reaches("red-a", "blue-b", family)
        assert not reaches("blue-a", "red-b", family)


def test_a_vrf_comes_before_what_belongs_to_it() -> None:
    operations = plan(resolve(load_topology(shipped("vrf")))).operations
    kinds = [it for it in operations if isinstance(it, AddDevice | SetMaster)]
    assert [str(it) for it in kinds] == [
        "ip -n provider link add name red up type vrf table 1001",
        "ip -n provider link add name blue up type vrf table 1002",
        "ip -n provider link set dev ra master red",
        "ip -n provider link set dev rb master red",
        "ip -n provider link set dev ba master blue",
        "ip -n provider link set dev bb master blue",
    ]
    assert dict(resolve(load_topology(shipped("vrf"))).node("provider").vrfs)["red"] == Vrf(
        table=1001
    )


BAD = {
    "number": (
        TRUNK.replace("[10, 20]", "{4095: }"),
        "lab.yaml:3: links.t.vlan.4095: '4095' is not a VLAN: VLANs are numbered 1 to 4094",
    ),
    "number in a list": (
        TRUNK.replace("20", "5000"),
        "lab.yaml:3: links.t.vlan[1]: expected a whole number <= 4094",
    ),
    "twice": (
        TRUNK.replace("20", "10"),
        "lab.yaml:3: links.t.vlan[1]: VLAN 10 appears twice",
    ),
    "other node": (
        TRUNK.replace("[10, 20]", "{10: {c: }}"),
        "lab.yaml:3: links.t.vlan.10.c: 'c' has no interface at this link",
    ),
    "name": (
        TRUNK.replace("t:", "averylongtrunk:"),
        (
            "lab.yaml:3: links.averylongtrunk.vlan.10: interface 'averylongtrunk.10' at 'a' has 17 "
            "characters; Linux allows 1 to 15; set links.averylongtrunk.vlan.10.a.interface"
        ),
    ),
    "between switches": (
        "nodes: {s: {kind: switch}, t: {kind: switch}}\nlinks:\n  x: {between: [s, t], vlan: [1]}",
        "lab.yaml:3: links.x.vlan[0]: a VLAN needs a host or router at the link",
    ),
    "kind": (
        ROUTED % "ipip",
        "lab.yaml:7: tunnels.t.kind: invalid enum value 'ipip'",
    ),
    "key of wireguard": (
        ROUTED.replace("%s", "wireguard, key: 1"),
        "lab.yaml:7: tunnels.t.key: a wireguard tunnel has no key",
    ),
    "port of gre": (
        ROUTED.replace("%s", "gre, port: 1"),
        "lab.yaml:7: tunnels.t.port: a gre tunnel has no port",
    ),
    "one end": (
        (ROUTED % "gre").replace("[r, s], kind", "[r], kind"),
        "lab.yaml:7: tunnels.t.between: a tunnel needs two different nodes",
    ),
    "no node": (
        (ROUTED % "gre").replace("[r, s], kind", "[r, t], kind"),
        "lab.yaml:7: tunnels.t.between[1]: there is no node 't'",
    ),
    "local": (
        (ROUTED % "gre").replace("[r, s], kind", "{r: {local: sr}, s: }, kind"),
        (
            "lab.yaml:7: tunnels.t.between.r.local: 'r' has no interface or address 'sr' for "
            "the tunnel's packets; did you mean 'rs'?"
        ),
    ),
    "name of a link": (
        (ROUTED % "gre").replace("t: {between", "rs: {between"),
        "lab.yaml:7: tunnels.rs: 'rs' is already the name of a link",
    ),
    "no address": (
        (ROUTED % "ip6gre").replace("\nnodes", "addressing: {ipv6: null}\nnodes"),
        "lab.yaml:8: tunnels.t: 'r' has no ipv6 address for the tunnel's packets",
    ),
    "mtu": (
        (ROUTED % "gre, mtu: 900"),
        "lab.yaml:7: tunnels.t.mtu: an MTU of 900 octets is too small for IPv6, which needs 1280",
    ),
    "no way": (
        (
            "nodes: {a: , b: , c: , d: }\nlinks: {x: {between: [a, b]}, y: {between: [c, d]}}\n"
            "tunnels:\n  t: {between: [a, d], kind: gre}"
        ),
        "lab.yaml:4: tunnels.t: 10.0.1.1 of 'a' does not reach 10.0.2.2 of 'd'",
    ),
    "vrf of a host": (
        "nodes:\n  a: {vrf: {red: [x]}}\n  b: \nlinks: {x: {between: [a, b]}}",
        "lab.yaml:2: nodes.a.vrf: 'a' is a host: only routers have VRFs",
    ),
    "interface of a vrf": (
        "nodes:\n  a: {kind: router, vrf: {red: [y]}}\n  b: \nlinks: {x: {between: [a, b]}}",
        "lab.yaml:2: nodes.a.vrf.red[0]: 'a' has no interface 'y'",
    ),
    "two vrfs": (
        (
            "nodes:\n  a: {kind: router, vrf: {red: [x], blue: [x]}}\n  b: \n"
            "links: {x: {between: [a, b]}}"
        ),
        "lab.yaml:2: nodes.a.vrf.blue[0]: 'x' is already in the VRF 'red'",
    ),
    "name of a vrf": (
        "nodes:\n  a: {kind: router, vrf: {x: [x]}}\n  b: \nlinks: {x: {between: [a, b]}}",
        "lab.yaml:2: nodes.a.vrf.x: 'x' is not a valid name for a VRF: .* is used twice",
    ),
    "name of a vrf that Linux has": (
        "nodes:\n  a: {kind: router, vrf: {lo: [x]}}\n  b: \nlinks: {x: {between: [a, b]}}",
        "lab.yaml:2: nodes.a.vrf.lo: 'lo' is not a valid name for a VRF: .* is reserved by Linux",
    ),
    "mtu that follows": (
        (
            "nodes: {a: , b: }\nlinks: {x: {between: [a, b], mtu: 1320}}\n"
            "tunnels:\n  t: {between: [a, b], kind: wireguard}"
        ),
        "lab.yaml:4: tunnels.t: an MTU of 1260 octets is too small for IPv6, which needs 1280",
    ),
    "mtu that follows, of IPv4": (
        (
            "addressing: {ipv6: null}\nnodes: {a: , b: }\nlinks: {x: {between: [a, b], mtu: 90}}\n"
            "tunnels:\n  t: {between: [a, b], kind: gre}"
        ),
        "lab.yaml:5: tunnels.t: an MTU of 66 octets is too small for IPv4, which needs 68",
    ),
    "mtu that GRE cannot have": (
        ROUTED % "gre, mtu: 65512",
        "lab.yaml:7: tunnels.t.mtu: an MTU of 65512 octets is too large for gre; the maximum",
    ),
    "equal tunnels": (
        (
            "nodes: {a: , b: }\nlinks: {x: {between: [a, b]}}\n"
            "tunnels:\n  t: {between: [a, b], kind: gre, key: 3}\n"
            "  u: {between: [b, a], kind: gre, key: 3}"
        ),
        "lab.yaml:5: tunnels.u: the kernel cannot tell its packets from those of tunnel 't'",
    ),
    "equal ports": (
        (
            "nodes: {a: , b: , c: }\nlinks: {x: {between: [a, b]}, y: {between: [b, c]}}\n"
            "tunnels:\n  t: {between: [a, b], kind: wireguard, port: 7}\n"
            "  u: {between: [b, c], kind: wireguard, port: 7}"
        ),
        "lab.yaml:5: tunnels.u.port: tunnel 't' already has the port 7 at 'b'",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_names_its_place(name: str) -> None:
    text, message = BAD[name]
    parts = message.split(" .* ")
    error = error_of(text.lstrip("\n"))
    assert all(part in error for part in parts)


def test_all_mistakes_of_names_and_vrfs_are_told_at_once() -> None:
    text = """
nodes:
  a: {kind: router, vrf: {red: [x, x, nope], all: [x], "red blue": [t.10]}}
  b: {vrf: {red: [x]}}
links:
  x: {between: [a, b]}
  t: {between: [a, b], vlan: [10]}
  t.10: {between: {a: {interface: v}, b: {interface: v}}}
tunnels:
  x: {between: [a, b], kind: gre}
"""
    with pytest.raises(InputError) as told:
        load(text)
    assert [each.path for each in told.value.every] == [
        'links."t.10"',
        "tunnels.x",
        "tunnels.x",
        "tunnels.x",
        "nodes.a.vrf.all",
        "nodes.a.vrf.red blue",
        "nodes.a.vrf.red[1]",
        "nodes.a.vrf.red[2]",
        "nodes.a.vrf.all[0]",
        "nodes.b.vrf",
    ]


def test_a_vrf_may_be_called_as_interfaces_are() -> None:
    text = "nodes: {a: {kind: router, vrf: {red-1: [x]}}, b: }\nlinks: {x: {between: [a, b]}}"
    assert load(text).node("a").vrfs == (("red-1", Vrf(table=1001)),)


def test_wireguard_takes_ports_that_differ_at_each_node() -> None:
    text = """
nodes: {a: , b: , c: , d: }
links: {x: {between: [a, b]}, y: {between: [b, c]}, z: {between: [c, d]}}
tunnels:
  t: {between: [a, b], kind: wireguard}
  u: {between: {b: {local: y}, c: }, kind: wireguard}
  v: {between: {c: {local: z}, d: }, kind: wireguard}
  w: {between: [b, a], kind: wireguard, port: 51821}
"""
    topology = load(text)
    ports = {
        it.name: it.device.port
        for node in topology.nodes
        for it in node.interfaces
        if isinstance(it.device, WireGuard)
    }
    assert ports == {"t": 51820, "u": 51822, "v": 51820, "w": 51821}


def test_the_least_mtu_of_a_tunnel_is_that_of_its_addresses() -> None:
    text = "nodes: {a: , b: }\nlinks: {x: {between: [a, b], mtu: 1340}}\n"
    topology = load(text + "tunnels: {t: {between: [a, b], kind: wireguard}}")
    assert topology.node("a").interface("t").mtu == 1280
