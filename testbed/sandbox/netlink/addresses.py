"""Addresses, neighbours, rules and routes (rtnetlink(7)), to the kernel and back."""

from __future__ import annotations

import functools
import ipaddress
import socket
from typing import Final

import msgspec
from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE
from pyroute2.netlink.rtnl import (
    RTM_DELADDR,
    RTM_DELNEIGH,
    RTM_DELROUTE,
    RTM_DELRULE,
    RTM_GETADDR,
    RTM_GETNEIGH,
    RTM_GETROUTE,
    RTM_GETRULE,
    RTM_NEWADDR,
    RTM_NEWNEIGH,
    RTM_NEWROUTE,
    RTM_NEWRULE,
    rt_proto,
    rt_scope,
    rt_type,
)
from pyroute2.netlink.rtnl.fibmsg import FR_ACT_TO_TBL, fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import (
    IFA_F_DADFAILED,
    IFA_F_NODAD,
    IFA_F_TENTATIVE,
    ifaddrmsg,
)
from pyroute2.netlink.rtnl.ndmsg import NUD_PERMANENT, ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from testbed.netlink.attributes import Only, attributes
from testbed.netlink.transport import Netlink, Request, decode, encode
from testbed.sandbox.observation import Address
from testbed.topology.model import Neighbour, Route, Rule

_LOCAL_TABLE: Final = 255
_FAMILIES: Final = {4: socket.AF_INET, 6: socket.AF_INET6}
_ANY: Final = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104 - not bound to
_REMEMBERED: Final = 4096  # decoded objects: most are the same in every namespace
_KINDS: Final = {number: name for name, number in rt_type.items()}
_ADD: Final = NLM_F_CREATE | NLM_F_EXCL


class AddressMessage(Only, ifaddrmsg):  # type: ignore[misc]
    """An address (linux/if_addr.h)."""

    nla_map = ((1, "IFA_ADDRESS", "ipaddr"), (2, "IFA_LOCAL", "ipaddr"), (8, "IFA_FLAGS", "uint32"))


class RouteMessage(Only, rtmsg):  # type: ignore[misc]
    """A route (linux/rtnetlink.h)."""

    nla_map = (
        (1, "RTA_DST", "target"),
        (4, "RTA_OIF", "uint32"),
        (5, "RTA_GATEWAY", "target"),
        (7, "RTA_PREFSRC", "target"),
        (15, "RTA_TABLE", "uint32"),
    )


class NeighbourMessage(Only, ndmsg):  # type: ignore[misc]
    """A neighbour (linux/neighbour.h)."""

    nla_map = ((1, "NDA_DST", "ipaddr"), (2, "NDA_LLADDR", "lladdr"))


class RuleMessage(Only, fibmsg):  # type: ignore[misc]
    """A routing rule (linux/fib_rules.h)."""

    nla_map = (
        (2, "FRA_SRC", "ipaddr"),
        (6, "FRA_PRIORITY", "uint32"),
        (15, "FRA_TABLE", "uint32"),
        (21, "FRA_PROTOCOL", "uint8"),
    )


_GET_ADDRESSES: Final = encode(AddressMessage(), RTM_GETADDR)
_GET_NEIGHBOURS: Final = encode(NeighbourMessage(), RTM_GETNEIGH)
_GET_RULES: Final = encode(RuleMessage(), RTM_GETRULE)


def add_address(index: int, address: str) -> Request:
    """Return the request that gives an interface an address, without duplicate detection."""
    return _address(RTM_NEWADDR, index, address, _ADD)


def remove_address(index: int, address: str) -> Request:
    """Return the request that takes an address away."""
    return _address(RTM_DELADDR, index, address, 0)


def _address(kind: int, index: int, text: str, header: int) -> Request:
    interface = ipaddress.ip_interface(text)
    address = str(interface.ip)
    return encode(
        AddressMessage(),
        kind,
        header,
        family=_FAMILIES[interface.version],
        prefixlen=interface.network.prefixlen,
        flags=IFA_F_NODAD if interface.version == 6 else 0,
        index=index,
        attrs=[("IFA_LOCAL", address), ("IFA_ADDRESS", address)],
    )


def add_neighbour(neighbour: Neighbour, index: int) -> Request:
    """Return the request for a permanent neighbour, in place of a learnt one.

    :param index: that of its interface.
    """
    return _neighbour_request(RTM_NEWNEIGH, neighbour, index, NLM_F_CREATE | NLM_F_REPLACE)


def remove_neighbour(neighbour: Neighbour, index: int) -> Request:
    """Return the request that forgets a neighbour; ``index`` is that of its interface."""
    return _neighbour_request(RTM_DELNEIGH, neighbour, index, 0)


def _neighbour_request(kind: int, neighbour: Neighbour, index: int, header: int) -> Request:
    return encode(
        NeighbourMessage(),
        kind,
        header,
        family=_FAMILIES[ipaddress.ip_address(neighbour.address).version],
        ifindex=index,
        state=NUD_PERMANENT,
        attrs=[("NDA_DST", neighbour.address), ("NDA_LLADDR", neighbour.mac)],
    )


def add_rule(rule: Rule) -> Request:
    """Return the request for a rule that sends packets from a source to a table."""
    return _rule_request(RTM_NEWRULE, rule, _ADD)


def remove_rule(rule: Rule) -> Request:
    """Return the request that takes a rule away."""
    return _rule_request(RTM_DELRULE, rule, 0)


def _rule_request(kind: int, rule: Rule, header: int) -> Request:
    source = ipaddress.ip_network(rule.source)
    return encode(
        RuleMessage(),
        kind,
        header,
        family=_FAMILIES[source.version],
        src_len=source.prefixlen,
        action=FR_ACT_TO_TBL,
        attrs=[
            ("FRA_SRC", str(source.network_address)),
            ("FRA_PRIORITY", rule.priority),
            ("FRA_TABLE", rule.table),
            ("FRA_PROTOCOL", rt_proto["static"]),
        ],
    )


def add_route(route: Route, index: int | None) -> Request:
    """Return the request for a route; ``index`` is that of its interface."""
    return _route_request(RTM_NEWROUTE, route, index, NLM_F_CREATE | NLM_F_REPLACE)


def remove_route(route: Route, index: int | None) -> Request:
    """Return the request that takes a route away; ``index`` is that of its interface."""
    return _route_request(RTM_DELROUTE, route, index, 0)


def _route_request(kind: int, route: Route, index: int | None, header: int) -> Request:
    destination = ipaddress.ip_network(route.destination)
    attrs: list[tuple[str, object]] = [("RTA_TABLE", route.table)]
    if destination.prefixlen:
        attrs.append(("RTA_DST", str(destination.network_address)))
    if route.via is not None:
        attrs.append(("RTA_GATEWAY", route.via))
    if index is not None:
        attrs.append(("RTA_OIF", index))
    if route.source is not None:
        attrs.append(("RTA_PREFSRC", route.source))
    on_link = route.via is None and route.kind == "unicast"
    return encode(
        RouteMessage(),
        kind,
        header,
        family=_FAMILIES[destination.version],
        dst_len=destination.prefixlen,
        proto=rt_proto["static" if kind == RTM_NEWROUTE else "unspec"],
        scope=rt_scope["link" if on_link and destination.version == 4 else "universe"],
        type=rt_type[route.kind],
        attrs=attrs,
    )


def read_addresses(netlink: Netlink, names: dict[int, str]) -> tuple[Address, ...]:
    """Return all addresses; ``names`` are the interfaces' by index."""
    found = []
    for body in netlink.dump(_GET_ADDRESSES):
        message = decode(AddressMessage, body)
        attrs = attributes(message)
        address = attrs.get("IFA_LOCAL", attrs["IFA_ADDRESS"])
        found.append(
            Address(
                interface=names[message["index"]],
                address=f"{address}/{message['prefixlen']}",
                usable=not attrs["IFA_FLAGS"] & (IFA_F_TENTATIVE | IFA_F_DADFAILED),
            )
        )
    return tuple(found)


def read_neighbours(netlink: Netlink, names: dict[int, str]) -> tuple[Neighbour, ...]:
    """Return the permanent neighbours."""
    found = []
    for body in netlink.dump(_GET_NEIGHBOURS):
        message = decode(NeighbourMessage, body)
        if message["state"] & NUD_PERMANENT and message["family"] in _ANY:
            attrs = attributes(message)
            found.append(
                Neighbour(
                    interface=names[message["ifindex"]],
                    address=attrs["NDA_DST"],
                    mac=attrs["NDA_LLADDR"],
                )
            )
    return tuple(found)


def read_rules(netlink: Netlink) -> tuple[Rule, ...]:
    """Return the rules of both families; one for any source has the source 0.0.0.0/0 or ::/0."""
    rules = (_rule(body) for body in netlink.dump(_GET_RULES))
    return tuple(rule for rule in rules if rule is not None)


@functools.lru_cache(_REMEMBERED)
def _rule(body: bytes) -> Rule | None:
    message = decode(RuleMessage, body)
    if message["family"] not in _ANY:
        return None  # multicast routing has rules too
    attrs = attributes(message)
    return Rule(
        source=f"{attrs.get('FRA_SRC', _ANY[message['family']])}/{message['src_len']}",
        table=attrs["FRA_TABLE"],
        priority=attrs.get("FRA_PRIORITY", 0),
    )


def read_routes(
    netlink: Netlink, names: dict[int, str], *, ours: bool = False
) -> tuple[Route, ...]:
    """Return the routes of both families, without the kernel's table ``local``.

    :param ours: only those that :func:`add_route` made; the kernel leaves the others out.
    """
    found = []
    protocol = rt_proto["static" if ours else "unspec"]
    for family in _ANY:  # a request for any family yields IPv4 only
        request = encode(RouteMessage(), RTM_GETROUTE, family=family, proto=protocol)
        for body in netlink.dump(request):
            route, index = _route(body)
            if route.table != _LOCAL_TABLE:
                interface = None if index is None else names[index]
                found.append(msgspec.structs.replace(route, interface=interface))
    return tuple(found)


@functools.lru_cache(_REMEMBERED)
def _route(body: bytes) -> tuple[Route, int | None]:
    """Return a route and the index of its interface."""
    message = decode(RouteMessage, body)
    attrs = attributes(message)
    kind = _KINDS[message["type"]]
    route = Route(
        destination=f"{attrs.get('RTA_DST', _ANY[message['family']])}/{message['dst_len']}",
        via=attrs.get("RTA_GATEWAY"),
        source=attrs.get("RTA_PREFSRC"),
        table=attrs.get("RTA_TABLE", message["table"]),
        kind=kind,
    )
    return route, attrs.get("RTA_OIF") if kind == "unicast" else None  # IPv6 names lo otherwise
