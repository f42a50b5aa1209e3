"""Addresses, neighbours, rules and routes: requests and answers (rtnetlink(7))."""

from __future__ import annotations

import functools
import ipaddress
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from testbed.netlink import codec
from testbed.netlink.codec import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Request
from testbed.netlink.transport import Netlink
from testbed.sandbox.observation import Address
from testbed.topology.model import Neighbour, NextHop, Route, Rule

# linux/rtnetlink.h: RTM_*
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_NEWNEIGH, _DELNEIGH, _GETNEIGH = 28, 29, 30
_NEWRULE, _DELRULE, _GETRULE = 32, 33, 34
# struct ifaddrmsg: family, prefix length, flags, scope, index
_ADDRESS: Final = struct.Struct("=BBBBI")
# struct rtmsg: family, lengths of destination and source, TOS, table, protocol, scope, type, flags;
# also struct fib_rule_hdr, whose last octet before the flags is the action
_ROUTE: Final = struct.Struct("=BBBBBBBBI")
_NEIGHBOUR: Final = struct.Struct("=B3xiHBB")  # struct ndmsg: family, index, state, flags, type
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_IFA_F_NODAD, _IFA_F_DADFAILED, _IFA_F_TENTATIVE = 0x02, 0x08, 0x40
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC, _RTA_MULTIPATH, _RTA_TABLE = 1, 4, 5, 7, 9, 15
_NEXT_HOP: Final = struct.Struct("=HBBi")  # struct rtnexthop: length, flags, hops, index
_RTPROT_STATIC: Final = 4
_RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK = 0, 253
_RT_TYPES: Final = (
    "unspec",
    "unicast",
    "local",
    "broadcast",
    "anycast",
    "multicast",
    "blackhole",
    "unreachable",
    "prohibit",
    "throw",
    "nat",
    "xresolve",
)
_NDA_DST, _NDA_LLADDR = 1, 2
_NUD_PERMANENT: Final = 0x80
_FRA_SRC, _FRA_PRIORITY, _FRA_MARK, _FRA_TABLE, _FRA_PROTOCOL = 2, 6, 10, 15, 21
_FR_ACT_TO_TBL: Final = 1

_LOCAL_TABLE: Final = 255
# Those of a VRF are in its table.
_KERNELS_OWN: Final = ("local", "broadcast", "anycast", "multicast")
_FAMILIES: Final = {4: socket.AF_INET, 6: socket.AF_INET6}
_ANY: Final = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104 - not bound to
_REMEMBERED: Final = 4096  # decoded objects, most of which are equal in all namespaces
_ADD: Final = NLM_F_CREATE | NLM_F_EXCL


_GET_ADDRESSES: Final = codec.request(_GETADDR, 0, bytes(_ADDRESS.size))
_GET_NEIGHBOURS: Final = codec.request(_GETNEIGH, 0, bytes(_NEIGHBOUR.size))
_GET_RULES: Final = codec.request(_GETRULE, 0, bytes(_ROUTE.size))


def add_address(index: int, address: str) -> Request:
    """Return the request that adds an address to an interface, without duplicate detection."""
    return _address(_NEWADDR, index, address, _ADD)


def remove_address(index: int, address: str) -> Request:
    """Return the request that removes an address."""
    return _address(_DELADDR, index, address, 0)


def _address(kind: int, index: int, text: str, header: int) -> Request:
    interface = ipaddress.ip_interface(text)
    address = interface.ip.packed
    flags = _IFA_F_NODAD if interface.version == 6 else 0
    prefix = interface.network.prefixlen
    return codec.request(
        kind,
        header,
        _ADDRESS.pack(_FAMILIES[interface.version], prefix, flags, 0, index),
        codec.attribute(_IFA_LOCAL, address),
        codec.attribute(_IFA_ADDRESS, address),
    )


def add_neighbour(neighbour: Neighbour, index: int) -> Request:
    """Return the request that adds a permanent neighbour or replaces a learnt one.

    :param index: the index of its interface.
    """
    return _neighbour_request(_NEWNEIGH, neighbour, index, NLM_F_CREATE | NLM_F_REPLACE)


def remove_neighbour(neighbour: Neighbour, index: int) -> Request:
    """Return the request that removes a neighbour of the interface with an index."""
    return _neighbour_request(_DELNEIGH, neighbour, index, 0)


def _neighbour_request(kind: int, neighbour: Neighbour, index: int, header: int) -> Request:
    family = codec.family(neighbour.address)
    return codec.request(
        kind,
        header,
        _NEIGHBOUR.pack(family, index, _NUD_PERMANENT, 0, 0),
        codec.address(_NDA_DST, neighbour.address),
        codec.attribute(_NDA_LLADDR, codec.mac_octets(neighbour.mac)),
    )


def add_rule(rule: Rule) -> Request:
    """Return the request that adds a rule, which routes packets from a source by a table."""
    return _rule_request(_NEWRULE, rule, _ADD)


def remove_rule(rule: Rule) -> Request:
    """Return the request that removes a rule."""
    return _rule_request(_DELRULE, rule, 0)


def _rule_request(kind: int, rule: Rule, header: int) -> Request:
    source = ipaddress.ip_network(rule.source)
    family = _FAMILIES[source.version]
    return codec.request(
        kind,
        header,
        _ROUTE.pack(family, 0, source.prefixlen, 0, 0, 0, 0, _FR_ACT_TO_TBL, 0),
        codec.attribute(_FRA_SRC, source.network_address.packed) if source.prefixlen else b"",
        codec.u32(_FRA_MARK, rule.mark) if rule.mark else b"",
        codec.u32(_FRA_PRIORITY, rule.priority),
        codec.u32(_FRA_TABLE, rule.table),
        codec.u8(_FRA_PROTOCOL, _RTPROT_STATIC),
    )


def add_route(route: Route, indices: Mapping[str, int]) -> Request:
    """Return the request that adds a route. ``indices`` are its interfaces' indices by name."""
    return _route_request(_NEWROUTE, route, indices, NLM_F_CREATE | NLM_F_REPLACE)


def remove_route(route: Route, indices: Mapping[str, int]) -> Request:
    """Return the request that removes a route. ``indices`` are its interfaces' indices by name."""
    return _route_request(_DELROUTE, route, indices, 0)


def _route_request(kind: int, route: Route, indices: Mapping[str, int], header: int) -> Request:
    destination = ipaddress.ip_network(route.destination)
    length = destination.prefixlen
    attrs = [codec.u32(_RTA_TABLE, route.table)]
    if length:
        attrs.append(codec.attribute(_RTA_DST, destination.network_address.packed))
    if route.via is not None:
        attrs.append(codec.address(_RTA_GATEWAY, route.via))
    if route.interface is not None:
        attrs.append(codec.u32(_RTA_OIF, indices[route.interface]))
    if route.nexthops:
        ways = b"".join(_next_hop(each, indices[each.interface]) for each in route.nexthops)
        attrs.append(codec.attribute(_RTA_MULTIPATH, ways))
    if route.source is not None:
        attrs.append(codec.address(_RTA_PREFSRC, route.source))
    on_link = route.via is None and route.kind == "unicast" and not route.nexthops
    scope = _RT_SCOPE_LINK if on_link and destination.version == 4 else _RT_SCOPE_UNIVERSE
    number, family = _RT_TYPES.index(route.kind), _FAMILIES[destination.version]
    protocol = _RTPROT_STATIC if kind == _NEWROUTE else 0
    fixed = _ROUTE.pack(family, length, 0, 0, 0, protocol, scope, number, 0)
    return codec.request(kind, header, fixed, *attrs)


def _next_hop(nexthop: NextHop, index: int) -> bytes:
    gateway = codec.address(_RTA_GATEWAY, nexthop.via)
    return _NEXT_HOP.pack(_NEXT_HOP.size + len(gateway), 0, 0, index) + gateway


def read_addresses(netlink: Netlink, names: dict[int, str]) -> tuple[Address, ...]:
    """Return all addresses. ``names`` are the interfaces' names by index."""
    found = []
    for body in netlink.dump(_GET_ADDRESSES):
        _, prefix, _, _, index = _ADDRESS.unpack_from(body, codec.HEADER.size)
        attrs = codec.attributes(body, codec.HEADER.size + _ADDRESS.size)
        address = attrs.host(_IFA_LOCAL) or attrs.host(_IFA_ADDRESS)
        found.append(
            Address(
                interface=names[index],
                address=f"{address}/{prefix}",
                usable=not attrs.number(_IFA_FLAGS) & (_IFA_F_TENTATIVE | _IFA_F_DADFAILED),
            )
        )
    return tuple(found)


def read_neighbours(netlink: Netlink, names: dict[int, str]) -> tuple[Neighbour, ...]:
    """Return the permanent neighbours."""
    found = []
    for body in netlink.dump(_GET_NEIGHBOURS):
        family, index, state, _, _ = _NEIGHBOUR.unpack_from(body, codec.HEADER.size)
        if state & _NUD_PERMANENT and family in _ANY:
            attrs = codec.attributes(body, codec.HEADER.size + _NEIGHBOUR.size)
            found.append(
                Neighbour(
                    interface=names[index],
                    address=codec.host(attrs[_NDA_DST]),
                    mac=codec.mac(attrs[_NDA_LLADDR]),
                )
            )
    return tuple(found)


def read_rules(netlink: Netlink) -> tuple[Rule, ...]:
    """Return the rules of both families. The source 0.0.0.0/0 or ::/0 means any source."""
    rules = (_rule(body) for body in netlink.dump(_GET_RULES))
    return tuple(rule for rule in rules if rule is not None)


@functools.lru_cache(_REMEMBERED)
def _rule(body: bytes) -> Rule | None:
    family, _, length, *_ = _ROUTE.unpack_from(body, codec.HEADER.size)
    if family not in _ANY:
        return None  # multicast routing has rules, too
    attrs = codec.attributes(body, codec.HEADER.size + _ROUTE.size)
    return Rule(
        source=f"{attrs.host(_FRA_SRC) or _ANY[family]}/{length}",
        table=attrs.number(_FRA_TABLE),
        priority=attrs.number(_FRA_PRIORITY),
        mark=attrs.number(_FRA_MARK),
    )


def read_routes(
    netlink: Netlink, names: dict[int, str], *, ours: bool = False
) -> tuple[Route, ...]:
    """Return the routes of both families, except those that the kernel adds for its own addresses.

    :param ours: whether to return only the routes of :func:`add_route`, which the kernel selects.
    """
    found = []
    protocol = _RTPROT_STATIC if ours else 0
    for family in _ANY:  # a request for any family returns IPv4 only
        fixed = _ROUTE.pack(family, 0, 0, 0, 0, protocol, 0, 0, 0)
        for body in netlink.dump(codec.request(_GETROUTE, 0, fixed)):
            route, index, ways = _route(body)
            if route.table != _LOCAL_TABLE and route.kind not in _KERNELS_OWN:
                interface = None if index is None else names[index]
                nexthops = tuple(NextHop(via, names[number]) for via, number in ways)
                found.append(msgspec.structs.replace(route, interface=interface, nexthops=nexthops))
    return tuple(found)


@functools.lru_cache(_REMEMBERED)
def _route(body: bytes) -> tuple[Route, int | None, tuple[tuple[str, int], ...]]:
    """Return a route, the index of its interface and, if it has several, its next hops."""
    family, length, _, _, table, _, _, number, _ = _ROUTE.unpack_from(body, codec.HEADER.size)
    attrs = codec.attributes(body, codec.HEADER.size + _ROUTE.size)
    kind = _RT_TYPES[number]
    route = Route(
        destination=f"{attrs.host(_RTA_DST) or _ANY[family]}/{length}",
        via=attrs.host(_RTA_GATEWAY),
        source=attrs.host(_RTA_PREFSRC),
        table=attrs.number(_RTA_TABLE, table),
        kind=kind,
    )
    # otherwise IPv6 reports lo
    index = attrs.number(_RTA_OIF) if kind == "unicast" and _RTA_OIF in attrs else None
    return route, index, tuple(_next_hops(attrs.get(_RTA_MULTIPATH, b"")))


def _next_hops(octets: bytes) -> Iterator[tuple[str, int]]:
    """Yield the gateway and the interface's index of each next hop."""
    while octets:
        length, _, _, index = _NEXT_HOP.unpack_from(octets)
        gateway = codec.attributes(octets[:length], _NEXT_HOP.size).host(_RTA_GATEWAY)
        if gateway is not None:
            yield gateway, index
        octets = octets[length + 3 & ~3 :]
