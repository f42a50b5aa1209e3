"""Interfaces: making veth pairs and bridges, changing and reading them (rtnetlink(7))."""

from __future__ import annotations

import ctypes
import fcntl
import functools
from typing import Any, Final

from pyroute2.ethtool.ioctl import (
    ETHTOOL_GTXCSUM,
    ETHTOOL_STXCSUM,
    IFNAMSIZ,
    SIOCETHTOOL,
    EthtoolValue,
    IfReq,
)
from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL
from pyroute2.netlink.rtnl import RTM_GETLINK, RTM_NEWLINK
from pyroute2.netlink.rtnl.ifinfmsg import IFF_RUNNING, IFF_UP, ifinfmsg

from testbed.netlink.attributes import Only, OwnMap, attributes
from testbed.netlink.transport import Netlink, Request, decode, encode
from testbed.sandbox.observation import LinkState
from testbed.topology.operations import VethEnd

_RTEXT_FILTER_SKIP_STATS: Final = 1 << 3  # linux/rtnetlink.h
_COUNTERS: Final = (
    "rx_packets",
    "rx_bytes",
    "rx_dropped",
    "tx_packets",
    "tx_bytes",
    "tx_dropped",
)
LOOPBACK: Final = 1  # the index of lo in every namespace


class LinkMessage(Only, ifinfmsg):  # type: ignore[misc]
    """A link, with the attributes a :class:`LinkState` is made of (linux/if_link.h)."""

    nla_map = (
        (1, "IFLA_ADDRESS", "lladdr"),
        (3, "IFLA_IFNAME", "asciiz"),
        (4, "IFLA_MTU", "uint32"),
        (10, "IFLA_MASTER", "uint32"),
        (18, "IFLA_LINKINFO", "information"),
        (23, "IFLA_STATS64", "ifstats64"),
    )

    class information(Only, ifinfmsg.ifinfo):  # type: ignore[misc] # noqa: N801 - pyroute2 looks it up by this name
        """IFLA_LINKINFO."""

        nla_map = ((1, "IFLA_INFO_KIND", "asciiz"),)


class LinkRequest(OwnMap, ifinfmsg):  # type: ignore[misc]
    """A link as pyroute2 encodes it."""


_GET_LINKS: Final = encode(LinkRequest(), RTM_GETLINK)
_GET_LINKS_ONLY: Final = encode(
    LinkRequest(), RTM_GETLINK, attrs=[("IFLA_EXT_MASK", _RTEXT_FILTER_SKIP_STATS)]
)


def new_veth(
    a: VethEnd, b: VethEnd, indices: tuple[int, int], namespaces: tuple[int, int], master: int
) -> Request:
    """Return the request for a veth pair, ``a`` up and in bridge ``master`` (0: in none).

    ``b`` cannot be born up: a veth comes up only when it has a peer.  The kernel takes the indices
    we choose, so nothing has to be read back to go on.
    """
    peer = _end(b, indices[1], namespaces[1])
    message = _end(a, indices[0], namespaces[0])
    message["flags"] = message["change"] = IFF_UP
    if master:
        message["attrs"].append(("IFLA_MASTER", master))
    data = {"attrs": [("VETH_INFO_PEER", peer)]}
    information = [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", data)]
    message["attrs"].append(("IFLA_LINKINFO", {"attrs": information}))
    return _request(message, NLM_F_CREATE | NLM_F_EXCL)


def new_bridge(name: str, index: int) -> Request:
    """Return the request for a bridge, down, that neither waits (STP) nor snoops on multicast."""
    data = [
        ("IFLA_BR_FORWARD_DELAY", 0),
        ("IFLA_BR_STP_STATE", 0),
        ("IFLA_BR_MCAST_SNOOPING", 0),
    ]
    information = [("IFLA_INFO_KIND", "bridge"), ("IFLA_INFO_DATA", {"attrs": data})]
    message = {
        "index": index,
        "attrs": [("IFLA_IFNAME", name), ("IFLA_LINKINFO", {"attrs": information})],
    }
    return _request(message, NLM_F_CREATE | NLM_F_EXCL)


@functools.cache
def set_link(index: int, *, up: bool, master: int = 0) -> Request:
    """Return the request that sets an interface up or down, and makes it a port of a bridge."""
    attrs = [("IFLA_MASTER", master)] if master else []
    message = {"index": index, "flags": IFF_UP if up else 0, "change": IFF_UP, "attrs": attrs}
    return _request(message, 0)


def disable_offload(netlink: Netlink, interface: str) -> None:
    """Have the kernel compute checksums itself on ``interface``.

    Without transmit checksums the kernel also withdraws scatter-gather and with it TSO and GSO
    (netdev_fix_features), so frames leave at most MTU-sized.  :class:`OSError` if refused.
    """
    _ethtool(netlink, interface, ETHTOOL_STXCSUM, 0)


def read_links(netlink: Netlink, *, counters: bool = True) -> tuple[LinkState, ...]:
    """Return all interfaces of the socket's namespace; without counters these stay 0."""
    request = _GET_LINKS if counters else _GET_LINKS_ONLY
    messages = [decode(LinkMessage, body) for body in netlink.dump(request)]
    found = [(message, attributes(message)) for message in messages]
    names = {message["index"]: attrs["IFLA_IFNAME"] for message, attrs in found}
    return tuple(_state(netlink, message, attrs, names) for message, attrs in found)


def _state(
    netlink: Netlink, message: LinkMessage, attrs: dict[str, Any], names: dict[int, str]
) -> LinkState:
    statistics = attrs.get("IFLA_STATS64", {})
    information = attrs.get("IFLA_LINKINFO")
    return LinkState(
        index=message["index"],
        name=attrs["IFLA_IFNAME"],
        kind=None if information is None else attributes(information).get("IFLA_INFO_KIND"),
        up=bool(message["flags"] & IFF_UP),
        carrier=bool(message["flags"] & IFF_RUNNING),
        mtu=attrs["IFLA_MTU"],
        mac=attrs["IFLA_ADDRESS"],
        master=names.get(attrs.get("IFLA_MASTER", 0)),
        offload=bool(_ethtool(netlink, attrs["IFLA_IFNAME"], ETHTOOL_GTXCSUM, 0)),
        **{name: statistics[name] for name in _COUNTERS if statistics},
    )


def _end(end: VethEnd, index: int, namespace: int) -> dict[str, Any]:
    return {
        "index": index,
        "attrs": [
            ("IFLA_IFNAME", end.interface),
            ("IFLA_ADDRESS", end.mac),
            ("IFLA_MTU", end.mtu),
            ("IFLA_NET_NS_FD", namespace),
        ],
    }


def _request(fields: dict[str, Any], flags: int) -> Request:
    return encode(LinkRequest(), RTM_NEWLINK, flags, **fields)


def _ethtool(netlink: Netlink, interface: str, command: int, value: int) -> int:
    """Do one SIOCETHTOOL with a ``struct ethtool_value`` (linux/ethtool.h); return its value."""
    data = EthtoolValue(command, value)
    request = IfReq(ifr_name=(ctypes.c_uint8 * IFNAMSIZ)(*interface.encode()))
    request.value = ctypes.pointer(data)
    fcntl.ioctl(netlink.fileno(), SIOCETHTOOL, request)
    return int(data.data)
