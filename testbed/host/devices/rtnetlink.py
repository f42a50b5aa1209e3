"""The kernel's interfaces, addresses, neighbours and routes (rtnetlink(7))."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Final

import msgspec

from testbed.netlink import codec
from testbed.netlink.codec import NLM_F_CREATE, Request
from testbed.netlink.transport import Netlink

# linux/rtnetlink.h: RTM_*
_GETLINK, _GETADDR, _GETROUTE, _NEWNEIGH, _GETNEIGH = 18, 22, 26, 28, 30
_LINK: Final = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, change
_ADDRESS: Final = struct.Struct("=BBBBI")  # struct ifaddrmsg: ..., index
_NEIGHBOUR: Final = struct.Struct("=B3xiHBB")  # struct ndmsg: family, index, state, flags, type
_ROUTE: Final = struct.Struct("=BBB9x")  # struct rtmsg: family, length of destination and source
_IFF_UP, _IFF_RUNNING, _IFF_NOARP = 1, 0x40, 0x80  # linux/if.h
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU = 1, 3, 4
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_IFA_F_DADFAILED, _IFA_F_TENTATIVE = 0x08, 0x40
_NDA_DST, _NDA_LLADDR = 1, 2
_NTF_USE: Final = 1
_NUD_REACHABLE, _NUD_STALE, _NUD_DELAY, _NUD_PROBE = 0x02, 0x04, 0x08, 0x10
_NUD_FAILED, _NUD_NOARP, _NUD_PERMANENT = 0x20, 0x40, 0x80
_RTA_DST, _RTA_SRC, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC, _RTA_METRICS, _RTA_VIA = (
    1, 2, 4, 5, 7, 8, 18
)  # fmt: skip
_RTAX_MTU: Final = 2
_VIA_FAMILY: Final = 2  # octets of the family before the address in struct rtvia
# linux/if_arp.h: links with Ethernet's header, and such that carry IP packets without any: NONE
# (TUN, WireGuard), PPP, TUNNEL, TUNNEL6, SIT, IPGRE, IP6GRE, RAWIP.
_ETHERNET, _LOOPBACK = 1, 772
FRAMED: Final = (_ETHERNET, _LOOPBACK)
BARE: Final = (0xFFFE, 512, 768, 769, 776, 778, 823, 519)
# States in which the link-layer address may be used (include/net/neighbour.h, NUD_VALID).
_VALID: Final = _NUD_PERMANENT | _NUD_NOARP | _NUD_REACHABLE | _NUD_PROBE | _NUD_STALE | _NUD_DELAY


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """An interface that sends and receives IP packets.

    :param framed: whether packets have an Ethernet header, as also on loopback.
    :param running: whether it is up and has a carrier.
    :param resolves: whether its neighbours must be resolved.
    """

    index: int
    name: str
    framed: bool
    mac: bytes
    mtu: int
    running: bool
    resolves: bool


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """The kernel's route for a packet.

    :param next_hop: the gateway, or the destination itself.
    :param source: the source address that the kernel would choose.
    :param mtu: the path MTU if the kernel has learnt it; 0 for that of the interface.
    """

    interface: int
    next_hop: str
    source: str
    mtu: int


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the kernel's neighbour table.

    :param mac: ``None`` while it is not resolved.
    :param stale: whether the kernel would confirm it on use.
    :param failed: whether the resolution failed.
    """

    interface: int
    host: str
    mac: bytes | None
    stale: bool
    failed: bool


_GET_LINKS: Final = codec.request(_GETLINK, 0, bytes(_LINK.size))
_GET_ADDRESSES: Final = codec.request(_GETADDR, 0, bytes(_ADDRESS.size))
_GET_NEIGHBOURS: Final = codec.request(_GETNEIGH, 0, bytes(_NEIGHBOUR.size))


def family_of(host: str) -> socket.AddressFamily:
    """Return the family of a numeric address."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def read_interfaces(netlink: Netlink) -> dict[int, Interface]:
    """Return the interfaces that can send IP packets, by index."""
    found = {}
    for body in netlink.dump(_GET_LINKS):
        _, kind, index, flags, _ = _LINK.unpack_from(body, codec.HEADER.size)
        if kind in FRAMED or kind in BARE:
            attrs = codec.attributes(body, codec.HEADER.size + _LINK.size)
            found[index] = Interface(
                index=index,
                name=attrs.text(_IFLA_IFNAME) or "",
                framed=kind in FRAMED,
                mac=attrs.get(_IFLA_ADDRESS, b""),
                mtu=attrs.number(_IFLA_MTU),
                running=bool(flags & _IFF_UP and flags & _IFF_RUNNING),
                resolves=not flags & _IFF_NOARP and kind == _ETHERNET,
            )
    return found


def read_addresses(netlink: Netlink) -> Iterator[tuple[int, str]]:
    """Yield interface and address of each usable address."""
    for body in netlink.dump(_GET_ADDRESSES):
        *_, index = _ADDRESS.unpack_from(body, codec.HEADER.size)
        attrs = codec.attributes(body, codec.HEADER.size + _ADDRESS.size)
        if not attrs.number(_IFA_FLAGS) & (_IFA_F_TENTATIVE | _IFA_F_DADFAILED):
            yield index, codec.host(attrs.get(_IFA_LOCAL) or attrs[_IFA_ADDRESS])


def read_peers(netlink: Netlink) -> Iterator[tuple[int, str, str]]:
    """Yield interface, local and peer address of each point-to-point address (``ip address``)."""
    for body in netlink.dump(_GET_ADDRESSES):
        *_, index = _ADDRESS.unpack_from(body, codec.HEADER.size)
        attrs = codec.attributes(body, codec.HEADER.size + _ADDRESS.size)
        local, peer = attrs.host(_IFA_LOCAL), attrs.host(_IFA_ADDRESS)
        if local is not None and peer is not None and peer != local:
            yield index, local, peer


def read_neighbours(netlink: Netlink) -> Iterator[Neighbour]:
    """Yield all neighbours, IPv4 and IPv6."""
    for body in netlink.dump(_GET_NEIGHBOURS):
        neighbour = read_neighbour(body)
        if neighbour is not None:
            yield neighbour


def read_neighbour(body: bytes) -> Neighbour | None:
    """Return the neighbour of a message, or ``None`` if it is not IP, as those of bridges."""
    family, index, state, _, _ = _NEIGHBOUR.unpack_from(body, codec.HEADER.size)
    attrs = codec.attributes(body, codec.HEADER.size + _NEIGHBOUR.size)
    host = attrs.host(_NDA_DST) if family in (socket.AF_INET, socket.AF_INET6) else None
    if host is None:
        return None
    return Neighbour(
        interface=index,
        host=host,
        mac=attrs.get(_NDA_LLADDR) if state & _VALID else None,
        stale=bool(state & _NUD_STALE),
        failed=bool(state & _NUD_FAILED),
    )


def use_neighbour(interface: int, host: str) -> Request:
    """Return the request by which the kernel resolves or confirms a neighbour."""
    fixed = _NEIGHBOUR.pack(family_of(host), interface, 0, _NTF_USE, 0)
    return codec.request(_NEWNEIGH, NLM_F_CREATE, fixed, codec.address(_NDA_DST, host))


def find_route(netlink: Netlink, source: str | None, destination: str, interface: int = 0) -> Route:
    """Request the route of a packet from the kernel, including rules by source address.

    :param interface: the index of the interface to which the socket is bound; 0 if it is not bound.
    :raises OSError: there is no route, or ``source`` is no address of this host.
    """
    family = family_of(destination)
    bits = 128 if family == socket.AF_INET6 else 32
    request = codec.request(
        _GETROUTE,
        0,
        _ROUTE.pack(family, bits, bits if source is not None else 0),
        codec.address(_RTA_DST, destination),
        b"" if source is None else codec.address(_RTA_SRC, source),
        codec.u32(_RTA_OIF, interface) if interface else b"",
    )
    found = codec.attributes(netlink.get(request), codec.HEADER.size + _ROUTE.size)
    via = found.get(_RTA_VIA)  # an IPv6 gateway of an IPv4 route
    gateway = found.host(_RTA_GATEWAY) or (codec.host(via[_VIA_FAMILY:]) if via else None)
    return Route(
        interface=found.number(_RTA_OIF),
        next_hop=gateway or destination,
        source=source or found.host(_RTA_PREFSRC) or destination,
        mtu=found.nested(_RTA_METRICS).number(_RTAX_MTU),
    )
