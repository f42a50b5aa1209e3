"""Netlink messages made by hand are those that pyroute2 makes, octet by octet."""

from __future__ import annotations

import socket
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink import NLA_F_NESTED, ctrlmsg
from pyroute2.netlink.generic.mptcp import mptcp_msg
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from testbed.host.devices import rtnetlink
from testbed.netlink import codec, mptcp
from testbed.sandbox.netlink import addresses, links, redirect
from testbed.sandbox.netlink.redirect import Redirect
from testbed.topology.model import Neighbour, NextHop, Route, Rule
from testbed.topology.operations import VethEnd
from tests.netlink_messages import encode

CREATE, EXCLUSIVE, REPLACE = 0x400, 0x200, 0x100
A = VethEnd(namespace="a", interface="eth0", mac="02:00:00:00:00:01", mtu=1500)
B = VethEnd(namespace="b", interface="eth12", mac="02:00:00:00:00:02", mtu=9000)


def end(index: int, end: VethEnd, namespace: int) -> dict[str, Any]:
    attrs = [
        ("IFLA_IFNAME", end.interface),
        ("IFLA_ADDRESS", end.mac),
        ("IFLA_MTU", end.mtu),
        ("IFLA_NET_NS_FD", namespace),
    ]
    return {"index": index, "attrs": attrs}


@pytest.mark.parametrize("master", [0, 9])
def test_veth(master: int) -> None:
    first = end(5, A, 11)
    first["flags"] = first["change"] = 1
    data = {"attrs": [("VETH_INFO_PEER", end(6, B, 12))]}
    kind = ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", data)]})
    first["attrs"] += [("IFLA_MASTER", master)] * bool(master) + [kind]
    wanted = encode(ifinfmsg(), 16, CREATE | EXCLUSIVE, **first)
    assert links.new_veth(A, B, (5, 6), (11, 12), master) == wanted


def test_bridge() -> None:
    names = ("FORWARD_DELAY", "STP_STATE", "MCAST_SNOOPING")
    data = {"attrs": [(f"IFLA_BR_{name}", 0) for name in names]}
    kind = ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "bridge"), ("IFLA_INFO_DATA", data)]})
    attrs = [("IFLA_IFNAME", "s1"), kind]
    wanted = encode(ifinfmsg(), 16, CREATE | EXCLUSIVE, index=7, attrs=attrs)
    assert links.new_bridge("s1", 7) == wanted


@pytest.mark.parametrize("up", [True, False])
def test_link_up_and_down(up: bool) -> None:
    attrs = [("IFLA_MASTER", 3)]
    wanted = encode(ifinfmsg(), 16, 0, index=4, flags=int(up), change=1, attrs=attrs)
    assert links.set_link(4, up=up, master=3) == wanted


@pytest.mark.parametrize(
    ("text", "family", "prefix", "flags"),
    [("10.0.0.1/24", socket.AF_INET, 24, 0), ("fd00::1/64", socket.AF_INET6, 64, 2)],
)
def test_address(text: str, family: int, prefix: int, flags: int) -> None:
    host = text.partition("/")[0]
    fields = {
        "family": family,
        "prefixlen": prefix,
        "flags": flags,
        "index": 3,
        "attrs": [("IFA_LOCAL", host), ("IFA_ADDRESS", host)],
    }
    assert addresses.add_address(3, text) == encode(ifaddrmsg(), 20, CREATE | EXCLUSIVE, **fields)
    assert addresses.remove_address(3, text) == encode(ifaddrmsg(), 21, 0, **fields)


@pytest.mark.parametrize("host", ["10.0.0.1", "fd00::1"])
def test_neighbour(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    attrs = [("NDA_DST", host), ("NDA_LLADDR", A.mac)]
    fields = {"family": family, "ifindex": 3, "state": 0x80, "attrs": attrs}
    neighbour = Neighbour(interface="eth0", address=host, mac=A.mac)
    assert addresses.add_neighbour(neighbour, 3) == encode(ndmsg(), 28, CREATE | REPLACE, **fields)
    used = {"family": family, "ifindex": 3, "flags": 1, "attrs": attrs[:1]}
    assert rtnetlink.use_neighbour(3, host) == encode(ndmsg(), 28, CREATE, **used)


INDICES = {"eth0": 3, "eth1": 4}


def test_rule() -> None:
    fields = {
        "family": socket.AF_INET,
        "src_len": 32,
        "action": 1,
        "attrs": [
            ("FRA_SRC", "10.0.0.1"),
            ("FRA_PRIORITY", 100),
            ("FRA_TABLE", 7),
            ("FRA_PROTOCOL", 4),
        ],
    }
    rule = Rule(source="10.0.0.1/32", table=7, priority=100)
    assert addresses.add_rule(rule) == encode(fibmsg(), 32, CREATE | EXCLUSIVE, **fields)
    assert addresses.remove_rule(rule) == encode(fibmsg(), 33, 0, **fields)


@pytest.mark.parametrize(
    ("route", "index", "fields"),
    [
        (
            Route(destination="0.0.0.0/0", via="10.0.0.254", interface="eth0", source="10.0.0.1"),
            3,
            {"type": 1, "scope": 0},
        ),
        (Route(destination="10.0.0.0/24", interface="eth0", table=9), 3, {"type": 1, "scope": 253}),
        (Route(destination="fd00::/64", interface="eth0"), 3, {"type": 1, "scope": 0}),
        (Route(destination="10.9.0.0/16", kind="unreachable"), None, {"type": 7, "scope": 0}),
        (
            Route(
                destination="10.9.0.0/16",
                nexthops=(NextHop("10.0.0.2", "eth0"), NextHop("10.0.1.2", "eth1")),
            ),
            None,
            {"type": 1, "scope": 0},
        ),
        (
            Route(
                destination="fd09::/64",
                nexthops=(NextHop("fd00::2", "eth0"), NextHop("fd01::2", "eth1")),
            ),
            None,
            {"type": 1, "scope": 0},
        ),
    ],
)
def test_route(route: Route, index: int | None, fields: dict[str, int]) -> None:
    network, _, length = route.destination.partition("/")
    attrs: list[tuple[str, object]] = [("RTA_TABLE", route.table)]
    attrs += [("RTA_DST", network)] * bool(int(length))
    attrs += [("RTA_GATEWAY", route.via)] * bool(route.via)
    attrs += [("RTA_OIF", index)] * bool(index)
    attrs += [("RTA_PREFSRC", route.source)] * bool(route.source)
    ways = [
        {"oif": INDICES[way.interface], "attrs": [("RTA_GATEWAY", way.via)]}
        for way in route.nexthops
    ]
    attrs += [("RTA_MULTIPATH", ways)] * bool(ways)
    family = socket.AF_INET6 if ":" in network else socket.AF_INET
    whole = {"family": family, "dst_len": int(length), "proto": 4, "attrs": attrs, **fields}
    assert addresses.add_route(route, INDICES) == encode(rtmsg(), 24, CREATE | REPLACE, **whole)


@pytest.mark.parametrize("host", ["10.0.0.1", "fd00::1"])
@pytest.mark.parametrize("port", [0, 5000])
def test_endpoint(host: str, port: int) -> None:
    six = ":" in host
    attrs: list[tuple[str, object]] = [
        ("MPTCP_PM_ADDR_ATTR_FAMILY", socket.AF_INET6 if six else socket.AF_INET),
        (f"MPTCP_PM_ADDR_ATTR_ADDR{6 if six else 4}", host),
        ("MPTCP_PM_ADDR_ATTR_ID", 3),
        ("MPTCP_PM_ADDR_ATTR_FLAGS", 5),
    ]
    endpoint = mptcp.KernelEndpoint(address=host, id=3, flags=5, interface=2, port=port)
    given = mptcp.add_endpoint(30, endpoint)
    attrs += [("MPTCP_PM_ADDR_ATTR_PORT", port)] * bool(port)
    nested = ("MPTCP_PM_ATTR_ADDR", {"attrs": attrs}, NLA_F_NESTED)
    wanted = encode(mptcp_msg(), 30, 0, cmd=1, version=1, attrs=[nested])
    # pyroute2 takes the index of an interface for a network-ordered number, so it is left out.
    index = codec.u32(7, 2)
    assert index in given
    without = given.replace(index, b"")
    assert without[20:24] != wanted[20:24]  # the length of what is nested
    assert without[24:] == wanted[24:]
    assert mptcp.read_endpoints([given]) == (endpoint,)


def test_limits_of_the_path_manager() -> None:
    attrs = [("MPTCP_PM_ATTR_RCV_ADD_ADDRS", 3), ("MPTCP_PM_ATTR_SUBFLOWS", 4)]
    given = mptcp.message(
        30,
        mptcp.SET_LIMITS,
        codec.u32(mptcp.RCV_ADD_ADDRS, 3),
        codec.u32(mptcp.SUBFLOWS, 4),
    )
    assert given == encode(mptcp_msg(), 30, 0, cmd=5, version=1, attrs=attrs)


def test_family_of_the_path_manager() -> None:
    class Kernel:
        def get(self, request: bytes) -> bytes:
            attrs = [("CTRL_ATTR_FAMILY_NAME", "mptcp_pm")]
            assert request == encode(ctrlmsg(), 16, 0, cmd=3, version=1, attrs=attrs)
            return encode(ctrlmsg(), 16, 0, cmd=1, attrs=[("CTRL_ATTR_FAMILY_ID", 31)])

    assert mptcp.family_number(Kernel()) == 31  # type: ignore[arg-type]


# What pyroute2 makes of ``tc filter add dev 3 ingress ... action mirred egress redirect dev 4``.
INGRESS = (
    "3000000024000006000000000000000000000000030000000000fffff1ffffff00000000"
    "0c000100696e677265737300"
)
FILTERS = {
    Redirect.MATCHALL: "700000002c00000600000000000000000000000003000000000000000000ffff00030100"
    "0d0001006d61746368616c6c000000003c00020038000200340001000b0001006d69727265640000"
    "24000280200002000000000000000000040000000000000000000000" + "0100000004000000",
    Redirect.U32: "8c0000002c00000600000000000000000000000003000000000000000000ffff00030100"
    "08000100753332006000020038000700340001000b0001006d69727265640000"
    "24000280200002000000000000000000040000000000000000000000" + "0100000004000000"
    "240005000100010000000000000000000000000000000000000000000000000000000000",
    Redirect.BPF: "7c0000002c00000600000000000000000000000003000000000000000000ffff00030100"
    "08000100627066005000020038000180340001000b0001006d69727265640000"
    "24000280200002000000000000000000040000000000000000000000" + "0100000004000000"
    "06000400010000000c00050006000000ffffffff",
}


@pytest.mark.parametrize("way", list(Redirect))
def test_redirection(way: Redirect) -> None:
    ingress, matching = redirect.requests(way, 3, 4)
    assert ingress.hex() == INGRESS
    assert matching.hex() == FILTERS[way]

    class Kernel:
        def dump(self, _request: bytes) -> list[bytes]:
            return [ingress, matching]

    assert redirect.target_of(Kernel(), 3) == 4  # type: ignore[arg-type]


@given(st.dictionaries(st.integers(0, 0x3FFF), st.binary(max_size=40), max_size=6))
def test_attributes_are_read_as_they_were_written(parts: dict[int, bytes]) -> None:
    message = b"head" + b"".join(codec.attribute(*each) for each in parts.items())
    assert codec.attributes(message, 4) == parts


@given(st.binary(max_size=60))
def test_whatever_comes_gives_attributes(octets: bytes) -> None:
    for value in codec.attributes(octets, 0).values():
        assert value in octets


def test_an_attribute_that_is_cut_off_is_none() -> None:
    whole = codec.u32(1, 7) + codec.u32(2, 8)
    assert codec.attributes(whole[:-1], 0) == {1: (7).to_bytes(4, sys.byteorder)}


def test_names_may_hold_any_octets() -> None:
    """The kernel takes all but "/", ":" and space for a name of an interface (dev_valid_name)."""
    octets = b"caf\xe9\0"
    name = codec.attributes(codec.attribute(3, octets), 0).text(3)
    assert name is not None
    assert codec.text(3, name) == codec.attribute(3, octets)


def test_flags_of_a_type_are_no_part_of_its_number() -> None:
    part = codec.nested(codec.NESTED | 5, codec.text(3, "name"), codec.u8(4, 9))
    inner = codec.attributes(part, 0).nested(5)
    assert (inner.text(3), inner.number(4), inner.number(7, 1), inner.text(8)) == (
        "name",
        9,
        1,
        None,
    )
