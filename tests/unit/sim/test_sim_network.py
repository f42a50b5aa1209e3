"""The paths of frames in a simulated network, and the changes to them."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.packet.address import Address
from testbed.packet.icmp import IcmpKind
from testbed.packet.options import Timestamps
from testbed.packet.segment import ACK, FIN, PSH, Segment
from testbed.topology import changes
from testbed.topology.operations import AddNamespace

from .conftest import NotingEndpoint

MS = 1_000_000
PAIR = {
    "nodes": {"client": {}, "server": {}},
    "links": {
        "wifi": {"between": ["client", "server"], "netem": {"rate": "8mbit", "delay": "10ms"}},
        "lte": {"between": ["client", "server"], "netem": {"delay": "30ms"}},
    },
}


def test_a_frame_takes_its_time(laboratory: Any) -> None:
    lab = laboratory(PAIR)
    client, server = lab.address("client", "wifi"), lab.address("server", "wifi")
    lab.send("client", lab.segment(client, server, payload=b"x" * 946))
    lab.run()
    # 946 + 20 + 20 + 14 octets at 8 Mbit/s take a millisecond.
    assert [now for now, _ in lab.at("server").arrived] == [11 * MS]


def test_the_source_address_decides_about_the_path(laboratory: Any) -> None:
    lab = laboratory(PAIR)
    lte, wifi = lab.address("client", "lte"), lab.address("client", "wifi")
    lab.send("client", lab.segment(lte, lab.address("server", "lte")))
    lab.run()
    assert [now for now, _ in lab.at("server").arrived] == [30 * MS]
    lab.send("client", lab.segment(wifi, lab.address("server", "lte")))
    lab.run()
    assert [error.kind for error in lab.at("client").errors] == [IcmpKind.UNREACHABLE]


def test_a_large_segment_leaves_in_pieces(laboratory: Any) -> None:
    lab = laboratory(PAIR)
    client, server = lab.address("client", "wifi"), lab.address("server", "wifi")
    whole = lab.segment(
        client,
        server,
        seq=2**32 - 1000,
        flags=ACK | PSH | FIN,
        payload=bytes(2500),
        gso_size=1000,
        options=(Timestamps(1, 2),),
    )
    lab.send("client", whole)
    lab.run()
    arrived = [segment for _, segment in lab.at("server").arrived]
    assert [(s.seq, len(s.payload), s.flags) for s in arrived] == [
        (2**32 - 1000, 1000, ACK),
        (0, 1000, ACK),
        (1000, 500, ACK | PSH | FIN),
    ]
    assert {s.options for s in arrived} == {(Timestamps(1, 2),)}


def test_what_is_attached_to_a_segment_stays_at_home(laboratory: Any) -> None:
    lab = laboratory(PAIR)
    client, server = lab.address("client", "wifi"), lab.address("server", "wifi")
    lab.send("client", lab.segment(client, server, ext="private"))
    lab.run()
    [(_, segment)] = lab.at("server").arrived
    assert segment.ext is None


def test_stacks_of_a_node_have_no_port_in_common(laboratory: Any) -> None:
    lab = laboratory(PAIR)
    client, server = lab.address("client", "wifi"), lab.address("server", "wifi")
    remote = Address(server, 80)
    busy = lab.network.hosts["client"]
    quiet = lab.network.stack("client", 1, lambda node, *_: NotingEndpoint(node))
    port = quiet.port_for(client, remote)
    for _ in range(10_000):
        assert busy.port_for(client, remote) != port
    lab.send("server", Segment(source=remote, destination=Address(client, port), seq=0, flags=ACK))
    lab.run()
    assert len(quiet.endpoint.arrived) == 1


def test_nothing_leaves_from_an_address_the_host_does_not_have(laboratory: Any) -> None:
    lab = laboratory(PAIR)
    lab.send("client", lab.segment("192.0.2.1", lab.address("server", "wifi")))
    lab.run()
    assert not lab.at("server").arrived


def test_a_host_talks_to_itself(laboratory: Any) -> None:
    lab = laboratory(PAIR)
    own = lab.address("client", "wifi")
    lab.send("client", lab.segment(own, lab.address("client", "lte"), payload=b"me"))
    lab.run()
    assert lab.payloads("client") == [b"me"]


@pytest.mark.parametrize("ipv6", [False, True])
def test_routers_forward(laboratory: Any, ipv6: bool) -> None:
    lab = laboratory("dual_stack" if ipv6 else "multi_hop")
    client = lab.address("client", lab.topology.node("client").interfaces[0].link, ipv6=ipv6)
    server = lab.address("server", lab.topology.node("server").interfaces[0].link, ipv6=ipv6)
    lab.send("client", lab.segment(client, server, payload=b"there"))
    lab.send("server", lab.segment(server, client, payload=b"back"))
    lab.run()
    assert lab.payloads("server") == [b"there"]
    assert lab.payloads("client") == [b"back"]


def test_switches_carry_frames_to_whom_they_are_for(laboratory: Any) -> None:
    lab = laboratory("lan_switch")
    client = lab.address("client", "client-lan1")
    lab.send("client", lab.segment(client, lab.address("server", "server-lan1"), payload=b"s"))
    lab.send("client", lab.segment(client, lab.address("bystander", "noise"), payload=b"b"))
    lab.run()
    assert lab.payloads("server") == [b"s"]
    assert lab.payloads("bystander") == [b"b"]


NARROW = {
    "nodes": {"client": {}, "router": {"kind": "router"}, "server": {}},
    "links": {
        "near": {"between": ["client", "router"], "mtu": 1500},
        "far": {"between": ["router", "server"], "mtu": 1300},
    },
}


@pytest.mark.parametrize("ipv6", [False, True])
def test_a_router_tells_what_fits(laboratory: Any, ipv6: bool) -> None:
    lab = laboratory(NARROW)
    client = lab.address("client", "near", ipv6=ipv6)
    server = lab.address("server", "far", ipv6=ipv6)
    segment = lab.segment(client, server, seq=77, payload=bytes(1400))
    lab.send("client", segment)
    lab.run()
    [error] = lab.at("client").errors
    assert (error.kind, error.mtu, error.seq) == (IcmpKind.TOO_BIG, 1300, 77)
    assert error.flow == (segment.source, segment.destination)
    assert not lab.at("server").arrived


def test_a_packet_that_goes_round_in_circles_is_dropped(laboratory: Any) -> None:
    lab = laboratory(
        {
            "nodes": {
                "client": {},
                "one": {"kind": "router", "routes": [{"to": "default", "via": "10.0.2.2"}]},
                "two": {"kind": "router", "routes": [{"to": "default", "via": "10.0.2.1"}]},
            },
            "links": {"near": {"between": ["client", "one"]}, "far": {"between": ["one", "two"]}},
        }
    )
    lab.send("client", lab.segment(lab.address("client", "near"), "203.0.113.1"))
    lab.run()
    assert [error.kind for error in lab.at("client").errors] == [IcmpKind.TIME_EXCEEDED]


def test_a_switch_drops_what_is_too_large_for_the_next_link(laboratory: Any) -> None:
    lab = laboratory(
        {
            "nodes": {"client": {}, "switch": {"kind": "switch"}, "server": {}},
            "links": {
                "near": {"between": ["client", "switch"]},
                "far": {"between": ["switch", "server"], "mtu": 1300},
            },
        }
    )
    client, server = lab.address("client", "near"), lab.address("server", "far")
    lab.send("client", lab.segment(client, server, payload=bytes(1400)))
    lab.send("client", lab.segment(client, server, payload=bytes(1200)))
    lab.run()
    assert [len(payload) for payload in lab.payloads("server")] == [1200]
    assert not lab.at("client").errors


def test_a_link_with_offload_carries_segments_whole(laboratory: Any) -> None:
    lab = laboratory(
        {
            "nodes": {"client": {}, "router": {"kind": "router"}, "server": {}},
            "links": {
                "near": {"between": ["client", "router"], "offload": True},
                "far": {"between": ["router", "server"]},
            },
        }
    )
    client, server = lab.address("client", "near"), lab.address("server", "far")
    router = lab.address("router", "near")
    large = {"payload": bytes(4000), "gso_size": 1000}
    lab.send("client", lab.segment(client, router, **large), lab.segment(client, server, **large))
    lab.run()
    assert [len(payload) for payload in lab.payloads("router")] == [4000]
    assert [len(payload) for payload in lab.payloads("server")] == [1000] * 4


def test_a_blackhole_swallows_and_counts(laboratory: Any) -> None:
    lab = laboratory(PAIR)
    client, server = lab.address("client", "wifi"), lab.address("server", "wifi")
    lab.network.execute(changes.shape(lab.topology, "wifi", None, {"loss": "100%"}))
    lab.send("client", lab.segment(client, server))
    lab.run()
    assert not lab.at("server").arrived
    lost = {
        (wire.link, wire.toward): wire.counters.dropped_loss for wire in lab.network.wires().wires
    }
    assert lost == {("wifi", "b"): 1, ("wifi", "a"): 0, ("lte", "b"): 0, ("lte", "a"): 0}
    lab.network.execute(changes.shape(lab.topology, "wifi", None, {"loss": "none"}))
    lab.send("client", lab.segment(client, server))
    lab.run()
    assert len(lab.at("server").arrived) == 1


def test_a_link_that_goes_down_loses_what_is_on_it_and_the_hosts_notice(laboratory: Any) -> None:
    lab = laboratory(PAIR)
    client, server = lab.address("client", "wifi"), lab.address("server", "wifi")
    lab.send("client", lab.segment(client, server))
    lab.run(0.005)
    lab.network.execute(changes.link_down(lab.topology, "wifi"))
    lab.run()
    assert not lab.at("server").arrived
    for node, address in (("client", client), ("server", server)):
        assert lab.at(node).told[0] == ("silent", address)
        assert ("heard", address) not in lab.at(node).told
    lab.network.execute(changes.link_up(lab.topology, "wifi"))
    for node, address in (("client", client), ("server", server)):
        assert ("heard", address) in lab.at(node).told
        assert not [told for told in lab.at(node).told if told[0] in ("added", "removed")]
    lab.send("client", lab.segment(client, server))
    lab.run()
    assert len(lab.at("server").arrived) == 1
    [wire] = [w for w in lab.network.wires().wires if (w.link, w.toward) == ("wifi", "b")]
    assert wire.counters.dropped_send == 1


def test_a_link_without_a_wire_takes_its_routes_along(laboratory: Any) -> None:
    spec = {"nodes": PAIR["nodes"], "links": {"only": {"between": ["client", "server"]}}}
    lab = laboratory(spec)
    client, server = lab.address("client", "only"), lab.address("server", "only")
    lab.network.execute(changes.link_down(lab.topology, "only"))
    lab.send("client", lab.segment(client, server))
    lab.run()
    assert not lab.at("client").errors  # the address is gone too, so nothing is sent
    lab.network.execute(changes.link_up(lab.topology, "only"))
    lab.send("client", lab.segment(client, server))
    lab.run()
    assert len(lab.at("server").arrived) == 1


def test_addresses_come_and_go(laboratory: Any) -> None:
    lab = laboratory(PAIR)
    interface = lab.topology.node("client").interfaces[0]
    [own] = [a for a in interface.addresses if ":" not in a]
    network = own.rpartition(".")[0]
    more = f"{network}.77/24"
    lab.network.execute(changes.add_address(lab.topology, "client", interface.name, more))
    server = lab.address("server", "wifi")
    lab.send("client", lab.segment(f"{network}.77", server, payload=b"new"))
    lab.send("server", lab.segment(server, f"{network}.77", payload=b"back"))
    lab.run()
    assert lab.payloads("server") == [b"new"]
    assert lab.payloads("client") == [b"back"]
    lab.network.execute(changes.remove_address(lab.topology, "client", interface.name, more))
    lab.send("client", lab.segment(f"{network}.77", server))
    lab.run()
    assert len(lab.at("server").arrived) == 1
    assert lab.at("client").told == [("added", f"{network}.77"), ("removed", f"{network}.77")]


def test_only_changes_of_a_running_network_can_be_simulated(laboratory: Any) -> None:
    lab = laboratory(PAIR)
    with pytest.raises(Exception, match="cannot be simulated: ip netns add client"):
        lab.network.execute([AddNamespace(namespace="client")])


def test_equal_seeds_give_equal_fates(laboratory: Any) -> None:
    spec = {
        "nodes": PAIR["nodes"],
        "links": {
            "wifi": {
                "between": ["client", "server"],
                "netem": {"delay": "10ms 5ms", "loss": "20%", "duplicate": "20%", "corrupt": "20%"},
            }
        },
    }

    def fates(seed: int) -> list[tuple[int, int]]:
        lab = laboratory(spec, seed)
        client, server = lab.address("client", "wifi"), lab.address("server", "wifi")
        for number in range(50):
            lab.send("client", lab.segment(client, server, seq=number, payload=b"x" * 100))
        lab.run()
        return [(now, segment.seq) for now, segment in lab.at("server").arrived]

    assert fates(1) == fates(1)
    assert fates(1) != fates(2)


def test_corruption_is_noticed_by_the_checksum(laboratory: Any) -> None:
    lab = laboratory(
        {
            "nodes": PAIR["nodes"],
            "links": {
                "wifi": {
                    "between": ["client", "server"],
                    "netem": {"delay": "1ms", "corrupt": "100%"},
                }
            },
        }
    )
    client, server = lab.address("client", "wifi"), lab.address("server", "wifi")
    for _ in range(100):
        lab.send("client", lab.segment(client, server, payload=b"x" * 1000))
    lab.run()
    # All that can be wrong unnoticed is the source's MAC address: 6 octets of 1054.
    assert len(lab.at("server").arrived) < 5
    assert all(payload == b"x" * 1000 for payload in lab.payloads("server"))
