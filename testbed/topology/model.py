"""A checked topology: immutable, valid values.

``spec`` has the types of the YAML file; ``resolve`` converts them to these. Everything that is
optional in the file is decided here: names, addresses, routes, MPTCP limits and endpoints.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from testbed.middlebox.box import Box
from testbed.topology.devices import Tunnel, Vlan, Vrf
from testbed.wire.netem import Netem

MAIN_TABLE: Final = 254  # RT_TABLE_MAIN, linux/rtnetlink.h


class Kind(enum.StrEnum):
    """The treatment of packets that are not for the node itself."""

    HOST = "host"  # drops them: an end host
    RELAY = "relay"  # an end host that forwards them, as in BCube
    ROUTER = "router"  # forwards them by the routing table
    SWITCH = "switch"  # bridges them by MAC address (IEEE 802.1D), in the wire namespace

    @property
    def forwards(self) -> bool:
        """Whether it forwards packets by the routing table."""
        return self in (Kind.RELAY, Kind.ROUTER)

    @property
    def is_end(self) -> bool:
        """Whether it can be an end of flows: it has endpoints, and routes by source."""
        return self in (Kind.HOST, Kind.RELAY)


class Family(enum.StrEnum):
    """An address family, as in ``ip -4`` and ``ip -6``."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"


class EndpointFlag(enum.StrEnum):
    """MPTCP endpoint flags with the names of ip-mptcp(8)."""

    SUBFLOW = "subflow"
    SIGNAL = "signal"
    BACKUP = "backup"
    FULLMESH = "fullmesh"
    LAMINAR = "laminar"  # Linux 6.18


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """One end of a link, a VLAN or a tunnel at a node."""

    node: str
    name: str  # at most 15 characters (IFNAMSIZ - 1)
    link: str  # the link, the VLAN (such as "trunk.10") or the tunnel
    mac: str  # "02:00:00:00:00:01"; a tunnel has none
    mtu: int  # octets
    addresses: tuple[str, ...] = ()  # with prefix length: "10.0.1.1/24", "fd00:0:0:1::1/64"
    device: Vlan | Tunnel | None = None  # None for an end of a link
    vrf: str = ""  # the VRF it belongs to; empty for none


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Policy routing: packets from ``source``, and with ``mark``, use routing table ``table``."""

    source: str  # a prefix, usually /32 or /128; of any source 0.0.0.0/0 or ::/0
    table: int
    priority: int
    mark: int = 0  # the mark of a tunnel's packets; 0 for any


class NextHop(msgspec.Struct, frozen=True):
    """One path of a route with several: its gateway, and the interface toward it."""

    via: str
    interface: str


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a routing table; ``kind`` is ``unicast`` or ``unreachable``.

    A route with ``nexthops`` has neither ``via`` nor ``interface``: the kernel chooses a path for
    each packet, by a hash.
    """

    destination: str  # a prefix; "0.0.0.0/0" and "::/0" are the defaults
    via: str | None = None
    interface: str | None = None
    source: str | None = None  # preferred source address
    table: int = MAIN_TABLE
    kind: str = "unicast"
    nexthops: tuple[NextHop, ...] = ()  # two or more next hops of equal cost


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """A permanent neighbour entry, which avoids ARP and ND over a lossy wire."""

    interface: str
    address: str
    mac: str


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """``ip mptcp limits``: extra subflows per connection, and accepted ADD_ADDRs; each 0 to 8."""

    subflows: int
    add_addr_accepted: int


KERNEL_LIMITS: Final = Limits(subflows=2, add_addr_accepted=0)  # the limits of a new namespace


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """``ip mptcp endpoint``: an address that the in-kernel path manager may use.

    ``interface`` binds its subflows, like ``dev`` in ip-mptcp(8); if it is empty, routing by source
    decides. A bound IPv4 socket assumes that any destination without a route is on link. So if the
    source's table has an "unreachable" route already, a binding would only send SYNs that nobody
    receives.
    """

    address: str  # without prefix length
    id: int
    interface: str = ""
    flags: tuple[EndpointFlag, ...]
    port: int | None = None


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A host, router or switch, with the contents of its namespace."""

    name: str
    kind: Kind
    interfaces: tuple[Interface, ...] = ()  # in the order of the links in the file
    rules: tuple[Rule, ...] = ()
    routes: tuple[Route, ...] = ()
    all_routes: bool = False  # True: observed routes, with those the kernel adds for each address
    neighbours: tuple[Neighbour, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()  # in the order of the file
    limits: Limits | None = None  # None for the kernel's defaults
    endpoints: tuple[Endpoint, ...] = ()
    run: tuple[tuple[str, ...], ...] = ()  # commands to run after the network is built
    vrfs: tuple[tuple[str, Vrf], ...] = ()  # VRFs by name

    def interface(self, name: str) -> Interface:
        """Return the interface with a name. Raises ``KeyError`` if it does not exist."""
        for interface in self.interfaces:
            if interface.name == name:
                return interface
        raise KeyError(name)

    def card(self, interface: Interface) -> Interface | None:
        """Return the end of a link that carries an interface's frames, or None for a tunnel."""
        while isinstance(interface.device, Vlan):
            interface = self.interface(interface.device.lower)
        return interface if interface.device is None else None


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link between interfaces ``a`` and ``b`` (first and second in ``between``).

    ``wire`` is whether a wire is in the middle. Without a wire the link is a single veth pair at
    the kernel's full speed, and cannot be shaped. A link with middleboxes has a wire.
    """

    name: str
    a: Interface
    b: Interface
    mtu: int  # octets
    wire: bool
    toward_b: Netem = Netem()  # shapes frames from a to b
    toward_a: Netem = Netem()
    offload: bool = False  # True: segments larger than the MTU may cross the link
    half_duplex: bool = False  # both directions share one medium
    at_sender: bool = False  # shaped at the interfaces of its ends, not in the middle
    middlebox: tuple[Box, ...] = ()  # boxes in order from a to b

    @property
    def directions(self) -> tuple[Netem, Netem]:
        """The shaping toward ``a``, and toward ``b``."""
        return self.toward_a, self.toward_b


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """A complete network. Nodes and links keep the order of the file."""

    name: str
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]

    def node(self, name: str) -> Node:
        """Return the node with a name. Raises ``KeyError`` if it does not exist."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def link(self, name: str) -> Link:
        """Return the link with a name. Raises ``KeyError`` if it does not exist."""
        for link in self.links:
            if link.name == name:
                return link
        raise KeyError(name)

    @property
    def tunnels(self) -> tuple[tuple[Interface, Interface], ...]:
        """Both ends of each tunnel, in the order of the nodes."""
        found: dict[str, list[Interface]] = {}
        for node in self.nodes:
            for interface in node.interfaces:
                if isinstance(interface.device, Tunnel):
                    found.setdefault(interface.link, []).append(interface)
        return tuple((a, b) for a, b in found.values())


def middle(index: int, side: str) -> str:
    """Return the name of the middle end of link number ``index`` on side ``a`` or ``b``."""
    return f"w{index}{side}"
