"""The observed state of namespaces, as values.

Where a resolved topology has a word for something (a route, a rule, an endpoint, ...), the
observation uses the same type, so that wanted and seen compare with ``==``.
"""

from __future__ import annotations

import msgspec

from testbed.topology.devices import Gre, Peered, Vlan, Vrf
from testbed.topology.model import Endpoint, Limits, Neighbour, Route, Rule

__all__ = [
    "Address",
    "Endpoint",
    "Limits",
    "LinkState",
    "Listener",
    "NamespaceState",
    "Neighbour",
    "Observation",
    "Peered",
    "QdiscState",
    "Route",
    "Rule",
]


class LinkState(msgspec.Struct, frozen=True, kw_only=True):
    """An interface, as ``ip -d -s link`` shows it.  Counters: packets and octets."""

    index: int
    name: str
    kind: str | None  # veth, bridge, ...; None: built in, like the loopback
    up: bool  # administratively (IFF_UP)
    carrier: bool  # IFF_RUNNING: it sends; the other end of a veth pair is up too
    mtu: int
    mac: str  # empty where the link has no addresses, as of a TUN interface
    master: str | None  # the bridge it is a port of, or its VRF
    offload: bool  # transmit checksums are left to the device, and with them segmentation
    device: Vlan | Gre | Vrf | None = None  # what it stands on
    rx_packets: int = 0
    rx_bytes: int = 0
    rx_dropped: int = 0
    tx_packets: int = 0
    tx_bytes: int = 0
    tx_dropped: int = 0


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """``ip address``; ``usable`` is False while duplicate address detection runs or has failed."""

    interface: str
    address: str  # with prefix length
    usable: bool = True


class QdiscState(msgspec.Struct, frozen=True, kw_only=True):
    """``tc -s qdisc``."""

    interface: str
    kind: str
    parent: int  # 0xffffffff: root; 0xfffffff1: ingress; or a class of another qdisc
    sent_packets: int
    sent_bytes: int
    dropped: int
    queued_packets: int
    queued_bytes: int
    overlimit: int = 0  # of those dropped, found no room: codel, fq_codel, pie, red
    marked: int = 0  # CE


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """A listening socket; ``address`` is ``0.0.0.0`` or ``::`` for any."""

    protocol: str  # tcp or mptcp
    address: str
    port: int


class NamespaceState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one namespace.  Routes leave out the kernel's own (table local)."""

    name: str
    links: tuple[LinkState, ...] = ()
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    wireguard: dict[str, Peered] = {}  # by the name of the interface
    qdiscs: tuple[QdiscState, ...] = ()
    limits: Limits | None = None  # None: no MPTCP in this kernel
    endpoints: tuple[Endpoint, ...] = ()
    sysctls: dict[str, str] = {}
    listeners: tuple[Listener, ...] = ()
    counters: dict[str, int] = {}  # the kernel's MIB, by nstat's names
    own_counters: dict[str, int] = {}  # likewise, of programs on our own stack (``testbed exec``)

    def link(self, name: str) -> LinkState | None:
        """Return the interface of that name."""
        return next((link for link in self.links if link.name == name), None)


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """The state of some namespaces at one moment (CLOCK_MONOTONIC)."""

    namespaces: dict[str, NamespaceState]
    time_ns: int
