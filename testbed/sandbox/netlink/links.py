"""Interfaces: the creation of veth pairs, bridges and devices, and their state (rtnetlink(7))."""

from __future__ import annotations

import fcntl
import struct
from array import array
from typing import Final

from testbed.netlink import codec
from testbed.netlink.codec import NLM_F_CREATE, NLM_F_EXCL, Attributes, Request
from testbed.netlink.transport import Netlink
from testbed.sandbox.netlink import devices
from testbed.sandbox.observation import LinkState
from testbed.topology.devices import Device, kind_of
from testbed.topology.operations import VethEnd

# linux/rtnetlink.h, linux/if.h
_NEWLINK, _GETLINK = 16, 18
_IFF_UP, _IFF_RUNNING = 1, 0x40
_INFO: Final = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, change
_ATTRIBUTES: Final = codec.HEADER.size + _INFO.size  # the offset of the attributes
# linux/if_link.h: IFLA_*
_ADDRESS, _NAME, _MTU, _LINK, _MASTER, _LINKINFO, _STATS64, _NET_NS_FD, _EXT_MASK = (
    1, 3, 4, 5, 10, 18, 23, 28, 29
)  # fmt: skip
_INFO_KIND, _INFO_DATA = 1, 2
_VETH_INFO_PEER: Final = 1
_BR_FORWARD_DELAY, _BR_STP_STATE, _BR_MCAST_SNOOPING = 1, 5, 23
_RTEXT_FILTER_SKIP_STATS: Final = 1 << 3
# The first members of struct rtnl_link_stats64, in its order.
_COUNTERS: Final = (
    "rx_packets",
    "tx_packets",
    "rx_bytes",
    "tx_bytes",
    "rx_errors",
    "tx_errors",
    "rx_dropped",
    "tx_dropped",
)
_STATISTICS: Final = struct.Struct(f"={len(_COUNTERS)}Q")
# linux/ethtool.h, linux/sockios.h
_SIOCETHTOOL: Final = 0x8946
_GET_TX_CHECKSUM, _SET_TX_CHECKSUM = 0x16, 0x17
_NAME_SIZE: Final = 16  # IFNAMSIZ
_POINTER: Final = struct.Struct("@P16x")  # the rest of struct ifreq: a union of 24 octets
LOOPBACK: Final = 1  # the index of lo in every namespace


_GET_LINKS: Final = codec.request(_GETLINK, 0, _INFO.pack(0, 0, 0, 0, 0))
_GET_LINKS_ONLY: Final = codec.request(
    _GETLINK,
    0,
    _INFO.pack(0, 0, 0, 0, 0),
    codec.u32(_EXT_MASK, _RTEXT_FILTER_SKIP_STATS),
)


def new_veth(
    a: VethEnd, b: VethEnd, indices: tuple[int, int], namespaces: tuple[int, int], master: int
) -> Request:
    """Return the request for a veth pair; ``a`` is up and in bridge ``master`` (0: in none).

    ``b`` cannot be created up, because a veth comes up only when it has a peer. The kernel accepts
    the requested indices, so the next requests do not depend on its answer.
    """
    peer = _INFO.pack(0, 0, indices[1], 0, 0) + _end(b, namespaces[1])
    return codec.request(
        _NEWLINK,
        NLM_F_CREATE | NLM_F_EXCL,
        _INFO.pack(0, 0, indices[0], _IFF_UP, _IFF_UP),
        _end(a, namespaces[0]),
        codec.u32(_MASTER, master) if master else b"",
        _kind("veth", codec.attribute(_VETH_INFO_PEER, peer)),
    )


def new_bridge(name: str, index: int) -> Request:
    """Return the request for a bridge that is down and has no STP and no multicast snooping."""
    return codec.request(
        _NEWLINK,
        NLM_F_CREATE | NLM_F_EXCL,
        _INFO.pack(0, 0, index, 0, 0),
        codec.text(_NAME, name),
        _kind(
            "bridge",
            codec.u32(_BR_FORWARD_DELAY, 0),
            codec.u32(_BR_STP_STATE, 0),
            codec.u8(_BR_MCAST_SNOOPING, 0),
        ),
    )


def new_device(name: str, index: int, device: Device, lower: int, mac: str, mtu: int) -> Request:
    """Return the request for a VLAN, a tunnel or a VRF that is up.

    :param lower: the index of the interface below a VLAN; 0 means none.
    :param mac: if empty, the kernel chooses it, as for an ``mtu`` of 0.
    """
    return codec.request(
        _NEWLINK,
        NLM_F_CREATE | NLM_F_EXCL,
        _INFO.pack(0, 0, index, _IFF_UP, _IFF_UP),
        codec.text(_NAME, name),
        codec.attribute(_ADDRESS, codec.mac_octets(mac)) if mac else b"",
        codec.u32(_MTU, mtu) if mtu else b"",
        codec.u32(_LINK, lower) if lower else b"",
        _kind(kind_of(device), devices.data(device)),
    )


def set_master(index: int, master: int) -> Request:
    """Return the request that adds an interface to a VRF, as a port is added to a bridge."""
    return codec.request(_NEWLINK, 0, _INFO.pack(0, 0, index, 0, 0), codec.u32(_MASTER, master))


def set_link(index: int, *, up: bool, master: int = 0) -> Request:
    """Return the request that sets an interface up or down and may add it to a bridge."""
    fixed = _INFO.pack(0, 0, index, _IFF_UP if up else 0, _IFF_UP)
    return codec.request(_NEWLINK, 0, fixed, codec.u32(_MASTER, master) if master else b"")


def disable_offload(netlink: Netlink, interface: str) -> None:
    """Let the kernel compute checksums on ``interface``.

    Without transmit checksums the kernel also disables scatter-gather and with it TSO and GSO
    (netdev_fix_features), so that no sent frame exceeds the MTU.

    :raises OSError: the kernel refused it.
    """
    _ethtool(netlink, interface, _SET_TX_CHECKSUM)


def read_links(netlink: Netlink, *, counters: bool = True) -> tuple[LinkState, ...]:
    """Return all interfaces of the socket's namespace. Without ``counters``, the counters are 0."""
    found = [
        (_INFO.unpack_from(body, codec.HEADER.size), codec.attributes(body, _ATTRIBUTES))
        for body in netlink.dump(_GET_LINKS if counters else _GET_LINKS_ONLY)
    ]
    names = {index: attrs.text(_NAME) for (_, _, index, _, _), attrs in found}
    return tuple(
        _state(netlink, index, flags, attrs, names) for (_, _, index, flags, _), attrs in found
    )


def _state(
    netlink: Netlink, index: int, flags: int, attrs: Attributes, names: dict[int, str | None]
) -> LinkState:
    name = attrs.text(_NAME) or ""
    statistics = attrs.get(_STATS64)
    counted = (
        {} if statistics is None
        else dict(zip(_COUNTERS, _STATISTICS.unpack_from(statistics), strict=True))
    )  # fmt: skip
    info = attrs.nested(_LINKINFO)
    kind = info.text(_INFO_KIND)
    return LinkState(
        index=index,
        name=name,
        kind=kind,
        device=devices.read(kind, info.nested(_INFO_DATA), attrs.number(_LINK), names),
        up=bool(flags & _IFF_UP),
        carrier=bool(flags & _IFF_RUNNING),
        mtu=attrs.number(_MTU),
        mac=codec.mac(attrs.get(_ADDRESS, b"")),
        master=names.get(attrs.number(_MASTER)),
        offload=bool(_ethtool(netlink, name, _GET_TX_CHECKSUM)),
        **{key: value for key, value in counted.items() if key in LinkState.__struct_fields__},
    )


def _end(end: VethEnd, namespace: int) -> bytes:
    return b"".join((
        codec.text(_NAME, end.interface),
        codec.attribute(_ADDRESS, codec.mac_octets(end.mac)),
        codec.u32(_MTU, end.mtu),
        codec.u32(_NET_NS_FD, namespace),
    ))  # fmt: skip


def _kind(kind: str, *data: bytes) -> bytes:
    return codec.nested(_LINKINFO, codec.text(_INFO_KIND, kind), codec.nested(_INFO_DATA, *data))


def _ethtool(netlink: Netlink, interface: str, command: int, value: int = 0) -> int:
    """Do SIOCETHTOOL with a ``struct ethtool_value`` (linux/ethtool.h); return its value."""
    data = array("I", (command, value))
    name = interface.encode().ljust(_NAME_SIZE, b"\0")
    fcntl.ioctl(netlink.fileno(), _SIOCETHTOOL, name + _POINTER.pack(data.buffer_info()[0]))
    return data[1]
