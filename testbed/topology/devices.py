"""VLANs, tunnels and VRFs: interfaces on top of others, as in ``ip link add``. Pure.

Each is a value that describes the interface. A topology, a plan and the state read from the kernel
use the same values.
"""

from __future__ import annotations

from typing import Final

import msgspec

# Octets in front of a packet in a tunnel.
_IPV4, _IPV6 = 20, 40  # the outer header
_GRE, _GRE_KEY = 4, 4  # RFC 2784, section 2; RFC 2890, section 2
_WIREGUARD: Final = 8 + 32  # UDP, and a message of type 4 with its tag


class Vlan(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="vlan"):
    """``type vlan``: the frames of ``lower`` with the tag ``id`` (IEEE 802.1Q)."""

    lower: str  # an interface of the same node
    id: int  # 1 to 4094

    def __str__(self) -> str:
        return f"link {self.lower} type vlan id {self.id}"


class Gre(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="gre"):
    """``type gre`` or, between IPv6 addresses, ``ip6gre`` (RFC 2784, RFC 7676)."""

    local: str
    remote: str
    key: int | None = None  # 32 bits

    @property
    def kind(self) -> str:
        """The name of the type for ``ip link``."""
        return "ip6gre" if ":" in self.local else "gre"

    @property
    def overhead(self) -> int:
        """The octets that encapsulation adds to a packet."""
        outer = _IPV6 if ":" in self.local else _IPV4
        return outer + _GRE + (0 if self.key is None else _GRE_KEY)

    def __str__(self) -> str:
        plain = " encaplimit none" if self.kind == "ip6gre" else ""
        key = "" if self.key is None else f" key {self.key}"
        return f"type {self.kind} local {self.local} remote {self.remote} ttl 64{plain}{key}"


class WireGuard(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="wireguard"):
    """``type wireguard``; keys and peer are set by an operation of their own.

    Its packets have a mark, by which a rule sends them to the table of ``local``, because WireGuard
    lets routing choose its source address.
    """

    local: str
    remote: str
    port: int  # the UDP port of both ends
    mark: int = 0  # the table; 0: the node does not route by source

    kind = "wireguard"

    @property
    def overhead(self) -> int:
        """The octets that encapsulation adds to a packet."""
        return (_IPV6 if ":" in self.local else _IPV4) + _WIREGUARD

    def __str__(self) -> str:
        return "type wireguard"


class Peered(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a WireGuard interface: its key, and one peer, which gets all packets.

    :param private_key: the private key in base64; :attr:`peer_key` is the peer's public key.
    :param endpoint: the peer's address. The peer listens on the same ``port``.
    :param mark: the mark of its packets, for rules; 0 for none.
    """

    private_key: str
    peer_key: str
    endpoint: str
    port: int
    mark: int = 0

    def __str__(self) -> str:
        endpoint = f"[{self.endpoint}]" if ":" in self.endpoint else self.endpoint
        mark = f" fwmark {self.mark}" if self.mark else ""
        return (
            f"listen-port {self.port}{mark} private-key <(echo {self.private_key}) "
            f"peer {self.peer_key} endpoint {endpoint}:{self.port} allowed-ips 0.0.0.0/0,::/0"
        )


class Vrf(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="vrf"):
    """``type vrf``: a routing table for the interfaces whose master it is."""

    table: int

    def __str__(self) -> str:
        return f"type vrf table {self.table}"


Tunnel = Gre | WireGuard
Device = Vlan | Gre | WireGuard | Vrf


def kind_of(device: Device) -> str:
    """Return the kernel's name of a device's type, which is also the name of the needed feature."""
    match device:
        case Gre() | WireGuard():
            return device.kind
        case Vlan():
            return "vlan"
        case Vrf():
            return "vrf"
