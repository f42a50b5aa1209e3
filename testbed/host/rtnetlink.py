"""What the kernel knows of its interfaces, addresses, neighbours and routes (rtnetlink(7))."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from pyroute2.netlink import NLM_F_CREATE
from pyroute2.netlink.rtnl import (
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_GETNEIGH,
    RTM_GETROUTE,
    RTM_NEWNEIGH,
)
from pyroute2.netlink.rtnl.ifaddrmsg import IFA_F_DADFAILED, IFA_F_TENTATIVE, ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import IFF_NOARP, IFF_RUNNING, IFF_UP, ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import (
    NTF_USE,
    NUD_DELAY,
    NUD_FAILED,
    NUD_NOARP,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
    ndmsg,
)
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from testbed.netlink.attributes import Only, attributes
from testbed.netlink.transport import Netlink, Request, decode, encode

_ETHERNET: Final = 1  # linux/if_arp.h
_LOOPBACK: Final = 772
# Its link-layer address may be used (include/net/neighbour.h, NUD_VALID).
_VALID: Final = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """An interface that sends and receives Ethernet frames (loopback does too).

    :param running: it is up and has a carrier.
    :param resolves: neighbours on it have to be resolved.
    """

    index: int
    name: str
    mac: bytes
    mtu: int
    running: bool
    resolves: bool


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """How the kernel would send a packet.

    :param next_hop: the gateway, or the destination itself.
    :param source: the address the kernel would choose.
    :param mtu: of the path if the kernel has learnt it; 0: the interface's counts.
    """

    interface: int
    next_hop: str
    source: str
    mtu: int


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """A neighbour as the kernel's table has it.

    :param mac: ``None`` while it is not resolved.
    :param stale: the kernel would confirm it if it used it.
    :param failed: the kernel asked for it and nobody answered.
    """

    interface: int
    host: str
    mac: bytes | None
    stale: bool
    failed: bool


class LinkMessage(Only, ifinfmsg):  # type: ignore[misc]
    """An interface (linux/if_link.h)."""

    nla_map = (
        (1, "IFLA_ADDRESS", "lladdr"),
        (3, "IFLA_IFNAME", "asciiz"),
        (4, "IFLA_MTU", "uint32"),
    )


class AddressMessage(Only, ifaddrmsg):  # type: ignore[misc]
    """An address (linux/if_addr.h)."""

    nla_map = ((1, "IFA_ADDRESS", "ipaddr"), (2, "IFA_LOCAL", "ipaddr"), (8, "IFA_FLAGS", "uint32"))


class RouteMessage(Only, rtmsg):  # type: ignore[misc]
    """A route (linux/rtnetlink.h)."""

    nla_map = (
        (1, "RTA_DST", "target"),
        (2, "RTA_SRC", "target"),
        (4, "RTA_OIF", "uint32"),
        (5, "RTA_GATEWAY", "target"),
        (7, "RTA_PREFSRC", "target"),
        (8, "RTA_METRICS", "metrics"),
        (18, "RTA_VIA", "rtvia"),
    )


class NeighbourMessage(Only, ndmsg):  # type: ignore[misc]
    """A neighbour (linux/neighbour.h)."""

    nla_map = ((1, "NDA_DST", "ipaddr"), (2, "NDA_LLADDR", "lladdr"))


_GET_LINKS: Final = encode(ifinfmsg(), RTM_GETLINK)
_GET_ADDRESSES: Final = encode(AddressMessage(), RTM_GETADDR)
_GET_NEIGHBOURS: Final = encode(NeighbourMessage(), RTM_GETNEIGH)


def family_of(host: str) -> socket.AddressFamily:
    """Return the family of a numeric address."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def read_interfaces(netlink: Netlink) -> dict[int, Interface]:
    """Return the interfaces with Ethernet frames, by index."""
    found = (decode(LinkMessage, body) for body in netlink.dump(_GET_LINKS))
    return {
        message["index"]: _interface(message)
        for message in found
        if message["ifi_type"] in (_ETHERNET, _LOOPBACK)
    }


def _interface(message: LinkMessage) -> Interface:
    attrs, flags = attributes(message), message["flags"]
    return Interface(
        index=message["index"],
        name=attrs["IFLA_IFNAME"],
        mac=_octets(attrs["IFLA_ADDRESS"]),
        mtu=attrs["IFLA_MTU"],
        running=bool(flags & IFF_UP and flags & IFF_RUNNING),
        resolves=not flags & IFF_NOARP and message["ifi_type"] == _ETHERNET,
    )


def read_addresses(netlink: Netlink) -> Iterator[tuple[int, str]]:
    """Yield interface and address of each address that may be used."""
    for body in netlink.dump(_GET_ADDRESSES):
        message = decode(AddressMessage, body)
        attrs = attributes(message)
        if not attrs["IFA_FLAGS"] & (IFA_F_TENTATIVE | IFA_F_DADFAILED):
            yield message["index"], attrs.get("IFA_LOCAL", attrs["IFA_ADDRESS"])


def read_neighbours(netlink: Netlink) -> Iterator[Neighbour]:
    """Yield all neighbours, IPv4 and IPv6."""
    for body in netlink.dump(_GET_NEIGHBOURS):
        neighbour = read_neighbour(body)
        if neighbour is not None:
            yield neighbour


def read_neighbour(body: bytes) -> Neighbour | None:
    """Return the neighbour of a message; ``None`` if it is none of IP (bridges have such)."""
    message = decode(NeighbourMessage, body)
    attrs: dict[str, Any] = attributes(message)
    if message["family"] not in (socket.AF_INET, socket.AF_INET6) or "NDA_DST" not in attrs:
        return None
    state, mac = message["state"], attrs.get("NDA_LLADDR")
    return Neighbour(
        interface=message["ifindex"],
        host=attrs["NDA_DST"],
        mac=_octets(mac) if mac and state & _VALID else None,
        stale=bool(state & NUD_STALE),
        failed=bool(state & NUD_FAILED),
    )


def use_neighbour(interface: int, host: str) -> Request:
    """Return the request that makes the kernel resolve or confirm a neighbour, as if it used it."""
    return encode(
        NeighbourMessage(),
        RTM_NEWNEIGH,
        NLM_F_CREATE,
        family=family_of(host),
        ifindex=interface,
        flags=NTF_USE,
        attrs=[("NDA_DST", host)],
    )


def find_route(netlink: Netlink, source: str | None, destination: str, interface: int = 0) -> Route:
    """Ask the kernel for the route of a packet; rules by source address count.

    :param interface: index of the one it has to leave by, as of a socket that is bound to it; 0:
        of any.
    :raises OSError: there is none, or ``source`` is no address of this host.
    """
    family = family_of(destination)
    bits = 128 if family == socket.AF_INET6 else 32
    attrs: list[tuple[str, object]] = [("RTA_DST", destination)]
    if source is not None:
        attrs.append(("RTA_SRC", source))
    if interface:
        attrs.append(("RTA_OIF", interface))
    request = encode(
        RouteMessage(),
        RTM_GETROUTE,
        family=family,
        dst_len=bits,
        src_len=bits if source is not None else 0,
        attrs=attrs,
    )
    found = attributes(decode(RouteMessage, netlink.get(request)))
    metrics = found.get("RTA_METRICS")
    via = found.get("RTA_VIA")  # an IPv6 gateway of an IPv4 route
    return Route(
        interface=found["RTA_OIF"],
        next_hop=found.get("RTA_GATEWAY") or (via["addr"] if via else destination),
        source=source or found.get("RTA_PREFSRC") or destination,
        mtu=0 if metrics is None else metrics.get_attr("RTAX_MTU") or 0,
    )


def _octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
