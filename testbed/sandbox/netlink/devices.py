"""VLANs, tunnels and VRFs: their attributes in rtnetlink messages."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final

from testbed.netlink import codec
from testbed.netlink.codec import Attributes
from testbed.topology.devices import Device, Gre, Vlan, Vrf, WireGuard

# linux/if_link.h, linux/if_tunnel.h
_VLAN_ID: Final = 1
_VRF_TABLE: Final = 1
_GRE_IFLAGS, _GRE_OFLAGS, _GRE_IKEY, _GRE_OKEY, _GRE_LOCAL, _GRE_REMOTE, _GRE_TTL = range(2, 9)
_GRE_PMTUDISC, _GRE_FLAGS = 10, 13
_GRE_KEY: Final = 0x2000
_IGNORE_ENCAPSULATION_LIMIT: Final = 1  # IP6_TNL_F_IGN_ENCAP_LIMIT of linux/ip6_tunnel.h
TTL: Final = 64


def data(device: Device) -> bytes:
    """Return the attributes of a device's kind (IFLA_INFO_DATA)."""
    match device:
        case Vlan(id=number):
            return codec.u16(_VLAN_ID, number)
        case Vrf(table=table):
            return codec.u32(_VRF_TABLE, table)
        case Gre():
            return _gre(device)
        case WireGuard():
            return b""


def _gre(device: Gre) -> bytes:
    family = codec.family(device.local)
    parts = [
        codec.attribute(_GRE_LOCAL, socket.inet_pton(family, device.local)),
        codec.attribute(_GRE_REMOTE, socket.inet_pton(family, device.remote)),
        codec.u8(_GRE_TTL, TTL),
    ]
    if family == socket.AF_INET:
        parts.append(codec.u8(_GRE_PMTUDISC, 1))
    else:
        parts.append(codec.u32(_GRE_FLAGS, _IGNORE_ENCAPSULATION_LIMIT))
    if device.key is not None:
        parts += [codec.b16(flags, _GRE_KEY) for flags in (_GRE_IFLAGS, _GRE_OFLAGS)]
        parts += [codec.b32(key, device.key) for key in (_GRE_IKEY, _GRE_OKEY)]
    return b"".join(parts)


def read(
    kind: str | None, attrs: Attributes, lower: int, names: Mapping[int, str | None]
) -> Vlan | Gre | Vrf | None:
    """Return the device of an interface, or None if it is of another kind.

    WireGuard's keys and peers are available from its own netlink family only.

    :param attrs: the attributes within IFLA_INFO_DATA.
    :param lower: the index of the underlying interface.
    """
    if kind == "vlan":
        return Vlan(lower=names.get(lower) or "", id=attrs.number(_VLAN_ID))
    if kind == "vrf":
        return Vrf(table=attrs.number(_VRF_TABLE))
    if kind in ("gre", "ip6gre"):
        keyed = int.from_bytes(attrs.get(_GRE_IFLAGS, b""), "big") & _GRE_KEY
        return Gre(
            local=attrs.host(_GRE_LOCAL) or "",
            remote=attrs.host(_GRE_REMOTE) or "",
            key=int.from_bytes(attrs.get(_GRE_IKEY, b""), "big") if keyed else None,
        )
    return None
