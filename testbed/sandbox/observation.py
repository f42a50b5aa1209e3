"""The observed state of namespaces, as values.

If a resolved topology has a type for something (a route, a rule, an endpoint, ...), the observation
uses the same type, so that ``==`` compares wanted and observed values.
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
    """An interface, as ``ip -d -s link`` shows it. Counters are in packets and octets."""

    index: int
    name: str
    kind: str | None  # veth, bridge, ...; None if built in, like the loopback
    up: bool  # administratively (IFF_UP)
    carrier: bool  # can send (IFF_RUNNING): the other end of a veth pair is up, too
    mtu: int
    mac: str  # empty if the link has no addresses, like a TUN interface
    master: str | None  # the bridge or VRF that it belongs to
    offload: bool  # whether the device computes checksums and segments
    device: Vlan | Gre | Vrf | None = None  # the kind and options of a VLAN, tunnel or VRF
    rx_packets: int = 0
    rx_bytes: int = 0
    rx_dropped: int = 0
    tx_packets: int = 0
    tx_bytes: int = 0
    tx_dropped: int = 0


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """An address, as ``ip address`` shows it.

    ``usable`` is False while duplicate address detection runs and after it has failed.
    """

    interface: str
    address: str  # the address with its prefix length
    usable: bool = True


class QdiscState(msgspec.Struct, frozen=True, kw_only=True):
    """A queueing discipline, as ``tc -s qdisc`` shows it."""

    interface: str
    kind: str
    parent: int  # 0xffffffff: root; 0xfffffff1: ingress; else a class of another qdisc
    sent_packets: int
    sent_bytes: int
    dropped: int
    queued_packets: int
    queued_bytes: int
    overlimit: int = 0  # the dropped packets that found no room (codel, fq_codel, pie, red)
    marked: int = 0  # packets marked CE


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """A listening socket. The address ``0.0.0.0`` or ``::`` means any."""

    protocol: str  # tcp or mptcp
    address: str
    port: int


class NamespaceState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one namespace. ``routes`` excludes the kernel's own (table local)."""

    name: str
    links: tuple[LinkState, ...] = ()
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    wireguard: dict[str, Peered] = {}  # by the name of the interface
    qdiscs: tuple[QdiscState, ...] = ()
    limits: Limits | None = None  # None if this kernel has no MPTCP
    endpoints: tuple[Endpoint, ...] = ()
    sysctls: dict[str, str] = {}
    listeners: tuple[Listener, ...] = ()
    counters: dict[str, int] = {}  # the kernel's MIB, by nstat's names
    own_counters: dict[str, int] = {}  # the same of programs on our own stack (``testbed exec``)

    def link(self, name: str) -> LinkState | None:
        """Return the interface with a name, or None."""
        return next((link for link in self.links if link.name == name), None)


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """The state of some namespaces at one moment (CLOCK_MONOTONIC)."""

    namespaces: dict[str, NamespaceState]
    time_ns: int
