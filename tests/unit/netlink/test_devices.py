"""Messages that make VLANs, tunnels and VRFs: as pyroute2 reads them, and as we read them back."""

from __future__ import annotations

from typing import Any

import pytest
from pyroute2.netlink.generic.wireguard import wgmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from testbed.netlink import codec
from testbed.sandbox.netlink import devices, links, wireguard
from testbed.topology.devices import Device, Gre, Peered, Vlan, Vrf, kind_of
from testbed.topology.keys import private_key, public_key
from tests.netlink_messages import attributes, decode

DEVICES: dict[str, tuple[Device, dict[str, Any]]] = {
    "vlan": (Vlan(lower="eth0", id=10), {"IFLA_VLAN_ID": 10}),
    "vrf": (Vrf(table=1001), {"IFLA_VRF_TABLE": 1001}),
    "gre": (
        Gre(local="10.0.0.1", remote="10.0.1.1"),
        {
            "IFLA_GRE_LOCAL": "10.0.0.1",
            "IFLA_GRE_REMOTE": "10.0.1.1",
            "IFLA_GRE_TTL": 64,
            "IFLA_GRE_PMTUDISC": 1,
        },
    ),
    "gre with a key": (
        Gre(local="10.0.0.1", remote="10.0.1.1", key=70_000),
        {"IFLA_GRE_IKEY": 70_000, "IFLA_GRE_OKEY": 70_000},
    ),
    "ip6gre": (
        Gre(local="fd00::1", remote="fd00:1::1"),
        {"IFLA_IP6GRE_LOCAL": "fd00::1", "IFLA_IP6GRE_REMOTE": "fd00:1::1", "IFLA_IP6GRE_TTL": 64},
    ),
}


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_is_what_pyroute2_reads(name: str) -> None:
    device, wanted = DEVICES[name]
    lower = 3 if isinstance(device, Vlan) else 0
    message = decode(ifinfmsg, links.new_device("dev7", 7, device, lower, "", 1400))
    found = attributes(message)
    assert (message["index"], message["flags"], message["change"]) == (7, 1, 1)
    assert (found["IFLA_IFNAME"], found["IFLA_MTU"]) == ("dev7", 1400)
    assert found.get("IFLA_LINK", 0) == lower
    info = attributes(found["IFLA_LINKINFO"])
    assert info["IFLA_INFO_KIND"] == kind_of(device)
    data = attributes(info["IFLA_INFO_DATA"])
    assert wanted == {key: data[key] for key in wanted}


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_reads_back_as_it_was_made(name: str) -> None:
    device, _ = DEVICES[name]
    attrs = codec.attributes(devices.data(device), 0)
    assert devices.read(kind_of(device), attrs, 3, {3: "eth0"}) == device


def test_an_interface_becomes_one_of_a_vrf() -> None:
    message = decode(ifinfmsg, links.set_master(4, 9))
    assert (message["index"], message["change"]) == (4, 0)
    assert attributes(message) == {"IFLA_MASTER": 9}


@pytest.mark.parametrize("endpoint", ["10.0.1.1", "fd00:1::1"])
def test_wireguard_gets_its_key_and_one_peer_for_everything(endpoint: str) -> None:
    peered = Peered(
        private_key=private_key(1, "vpn", "a"),
        peer_key=public_key(private_key(1, "vpn", "b")),
        endpoint=endpoint,
        port=51820,
        mark=1002,
    )
    message = wireguard.set_device(33, 5, peered)
    found = attributes(decode(wgmsg, message))
    assert (found["WGDEVICE_A_IFINDEX"], found["WGDEVICE_A_FWMARK"]) == (5, 1002)
    assert found["WGDEVICE_A_LISTEN_PORT"] == 51820
    assert found["WGDEVICE_A_FLAGS"] == 1  # in the place of all peers there were
    assert wireguard.read([message]) == peered


def test_a_peer_that_takes_only_some_packets_is_not_ours() -> None:
    peered = Peered(
        private_key=private_key(1, "vpn", "a"),
        peer_key=public_key(private_key(1, "vpn", "b")),
        endpoint="10.0.1.1",
        port=51820,
    )
    message = wireguard.set_device(33, 5, peered)
    some = message.replace(codec.u8(3, 0), codec.u8(3, 8))  # WGALLOWEDIP_A_CIDR_MASK
    assert some != message
    assert wireguard.read([some]) is None
    assert wireguard.read([]) is None
