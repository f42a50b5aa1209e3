"""The types of a topology file, which also define its JSON Schema.

Types and ranges are checked here. ``resolve`` checks everything that depends on two places of the
file.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal

import msgspec

from testbed.topology.model import MAIN_TABLE, Kind
from testbed.wire.netem import Netem

# MPTCP_PM_ADDR_MAX in net/mptcp/protocol.h: every limit, and endpoints per node; a kernel that
# takes fewer than the most says so itself.
MAX_SUBFLOWS = 8
MOST_SUBFLOWS = 64  # the limit of later kernels

QueueSpec = dict[str, str | int | float | bool]  # {kind: fq_codel, target: 5ms}
# "rate 20mbit delay 10ms", or a mapping of options
NetemSpec = str | dict[str, str | int | float | QueueSpec]
Count = Annotated[int, msgspec.Meta(ge=1)]
Limit = Annotated[int, msgspec.Meta(ge=0, le=MOST_SUBFLOWS)]
Mtu = Annotated[int, msgspec.Meta(ge=68, le=65535)]  # octets; ETH_MIN_MTU and ETH_MAX_MTU
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
VlanId = Annotated[int, msgspec.Meta(ge=1, le=4094)]  # IEEE 802.1Q: 0 and 4095 are reserved
EndpointId = Annotated[int, msgspec.Meta(ge=1, le=255)]
FlagName = Literal["subflow", "signal", "backup", "fullmesh", "laminar"]
Value = str | int
BoxSpec = (
    str | Annotated[dict[str, dict[str, Any] | None], msgspec.Meta(min_length=1, max_length=1)]
)  # NAME, "NAME(OPTION=VALUE, ...)", or {NAME: OPTIONS}


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of everything a file may hold."""


class EndpointSpec(Spec, frozen=True, kw_only=True):
    """MPTCP endpoints of a node, as in ip-mptcp(8): the addresses of one interface, or one address.

    The node need not have the ``address``. It can announce an unreachable address, or the address
    that a NAT gives it.
    """

    interface: str | None = None
    address: str | None = None
    flags: list[FlagName]
    port: Port | None = None  # announced with the address; needs ``signal``
    id: EndpointId | None = None

    @property
    def problem(self) -> str | None:
        """Return why ``mptcp_pm_nl_add_addr_doit`` would refuse it, or why it has no effect."""
        flags = set(self.flags)
        if self.interface is None and self.address is None:
            return "an endpoint needs an interface, an address, or both"
        if self.address is not None and not _is_address(self.address):
            return f"{self.address!r} is not an address"
        if {"signal", "fullmesh"} <= flags:
            return "signal and fullmesh exclude each other"
        if "fullmesh" in flags and "subflow" not in flags:
            return "fullmesh has no effect without subflow"
        if self.port is not None and not ("signal" in flags and "subflow" not in flags):
            return "a port needs signal and excludes subflow: an announcement carries it"
        if len(flags) < len(self.flags):
            return "a flag appears twice"
        return None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class LimitsSpec(Spec, frozen=True, kw_only=True):
    """Limits of the path manager, as in ``ip mptcp limits``."""

    subflows: Limit = MAX_SUBFLOWS
    add_addr_accepted: Limit = MAX_SUBFLOWS


class NodeMptcpSpec(Spec, frozen=True, kw_only=True):
    """MPTCP of a host.  ``endpoints`` is one set of flags for all interfaces, or a list."""

    limits: LimitsSpec = LimitsSpec()
    endpoints: Literal["subflow", "signal", "fullmesh", "none"] | list[FlagName | EndpointSpec] = (
        msgspec.field(default_factory=list)
    )


class RouteSpec(Spec, frozen=True, kw_only=True):
    """A route that is added, or replaces the computed one of the same table and prefix."""

    to: str  # a prefix; "default" is 0.0.0.0/0, or ::/0 when ``via`` is IPv6
    via: str | None = None
    interface: str | None = None
    table: Annotated[int, msgspec.Meta(ge=1, le=2**32 - 1)] = MAIN_TABLE
    kind: Literal["unicast", "unreachable"] = "unicast"


class NodeSpec(Spec, frozen=True, kw_only=True):
    """A host, relay, router or switch.

    ``run`` lists commands that run on the node, in order, when the network is built.  Each is a
    program with its arguments, or a line for the shell.  If one fails, the build fails.

    ``vrf`` lists the VRFs of a router by name, with the interfaces of each.  A VRF has a routing
    table of its own.  No packet leaves it for another VRF, or for an interface outside all VRFs.
    """

    kind: Kind = Kind.HOST
    sysctls: dict[str, Value] = {}
    policy_routing: bool = True
    routes: list[RouteSpec] = []
    mptcp: bool | NodeMptcpSpec = True
    run: list[str | Annotated[list[str], msgspec.Meta(min_length=1)]] = []
    vrf: dict[str, Annotated[list[str], msgspec.Meta(min_length=1)]] = {}


class EndSpec(Spec, frozen=True, kw_only=True):
    """One end of a link, a VLAN or a tunnel.

    ``addresses`` lists all addresses of the end, with prefix length.  The words ``ipv4`` and
    ``ipv6`` stand for an automatic one.  The default is ``[ipv4, ipv6]``; an end of a link with
    VLANs has none by default.
    """

    interface: str | None = None
    addresses: list[str] | None = None
    endpoint: Literal["none"] | list[FlagName] | None = None


class LinkOptions(Spec, frozen=True, kw_only=True):
    """The properties of a link apart from its ends."""

    netem: NetemSpec | msgspec.UnsetType = msgspec.UNSET  # both directions
    mtu: Mtu = 1500
    offload: bool = False  # True: segments larger than the MTU may cross the link
    duplex: Literal["full", "half"] = "full"  # half: both directions share one medium
    shaper: Literal["middle", "sender"] = "middle"  # sender: at the interfaces of both ends


class LinkSpec(LinkOptions, frozen=True, kw_only=True):
    """A link.  ``toward`` changes options of the direction that leads to the named node.

    ``middlebox`` names the boxes on the link, from its first end to its second.  It is a list of
    names and ``{NAME: OPTIONS}``, or one text with names separated by spaces.  A name can have
    options, as in ``split(size=500)``.

    ``vlan`` lists the VLANs (IEEE 802.1Q) of the hosts and routers at its ends: numbers, or a
    mapping from each number to the options of its ends.
    """

    between: list[str] | dict[str, EndSpec | None]
    toward: dict[str, NetemSpec] = {}
    middlebox: str | list[BoxSpec] | None = None
    vlan: list[VlanId] | dict[str, dict[str, EndSpec | None] | None] = []


class TunnelEndSpec(EndSpec, frozen=True, kw_only=True):
    """One end of a tunnel.

    ``local`` is the interface of the node, or the address, that the tunnel's packets leave from.
    The default is the first one.
    """

    local: str | None = None


class TunnelSpec(Spec, frozen=True, kw_only=True):
    """A tunnel between two hosts or routers.  It has an interface at each of them.

    ``gre`` runs over IPv4, ``ip6gre`` over IPv6, and ``wireguard`` over UDP on either.
    """

    between: list[str] | dict[str, TunnelEndSpec | None]
    kind: Literal["gre", "ip6gre", "wireguard"]
    key: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] | None = None  # the key of GRE (RFC 2890)
    port: Port | None = None  # the port of WireGuard; default: the first free one from 51820 on
    mtu: Mtu | None = None  # octets; by default what fits the cards of its ends


class StarSpec(LinkOptions, frozen=True, kw_only=True):
    """``count`` hosts h1, h2, ... each with one link to ``hub``, a switch or a router."""

    count: Count
    hub: Literal["switch", "router"] = "switch"


class LineSpec(LinkOptions, frozen=True, kw_only=True):
    """``count`` nodes n1, n2, ... in a row: two hosts at the ends, routers between them."""

    count: Annotated[int, msgspec.Meta(ge=2)]


class FatTreeSpec(LinkOptions, frozen=True, kw_only=True):
    """A fat tree of routers with ``ports`` ports each, and ports^3 / 4 hosts h1, h2, ...

    Al-Fares, Loukissas, Vahdat: A Scalable, Commodity Data Center Network Architecture, SIGCOMM
    2008.  Routers are c1, c2, ... in the core, and in pod P aPx (aggregation) and ePx (edge).
    """

    ports: Annotated[int, msgspec.Meta(ge=2, multiple_of=2)]


class BCubeSpec(LinkOptions, frozen=True, kw_only=True):
    """Servers and switches as BCube(ports, levels - 1): ports^levels servers h1, h2, ...

    Guo et al.: BCube: A High Performance, Server-centric Network Architecture for Modular Data
    Centers, SIGCOMM 2009.  Each server has ``levels`` interfaces and forwards for the others.
    Switch sLxN is the Nth one of level L and has ``ports`` ports.
    """

    ports: Annotated[int, msgspec.Meta(ge=2)]
    levels: Annotated[int, msgspec.Meta(ge=1, le=8)]


class GenerateSpec(Spec, frozen=True, kw_only=True):
    """Generated nodes and links, in addition to those under ``nodes`` and ``links``."""

    star: StarSpec | None = None
    line: LineSpec | None = None
    fat_tree: FatTreeSpec | None = None
    bcube: BCubeSpec | None = None


class AddressingSpec(Spec, frozen=True, kw_only=True):
    """The pools of automatic addresses.  Null means no addresses of that family."""

    ipv4: str | None = "10.0.0.0/8"
    ipv6: str | None = "fd00::/32"


class TopologyMptcpSpec(Spec, frozen=True, kw_only=True):
    """The address family of MPTCP endpoints; by default IPv4 if the topology has it."""

    family: Literal["ipv4", "ipv6", "both"] | None = None


class TopologySpec(Spec, frozen=True, kw_only=True):
    """A topology file.

    ``routing`` selects the destinations of computed routes: ``all`` subnets, or only those of
    ``hosts``, which a network of many routers needs.  With ``multipath``, routers use all shortest
    paths: the kernel chooses one per connection or subflow, by a hash of addresses and ports.
    """

    description: str = ""
    nodes: dict[str, NodeSpec | None] = {}
    links: dict[str, LinkSpec] = {}
    tunnels: dict[str, TunnelSpec] = {}
    addressing: AddressingSpec = AddressingSpec()
    routing: Literal["all", "hosts"] = "all"
    multipath: bool = False
    sysctls: dict[str, Value] = {}
    mptcp: TopologyMptcpSpec = TopologyMptcpSpec()
    generate: GenerateSpec = GenerateSpec()


def shaping(options: LinkOptions) -> Netem | None:
    """Return the common netem block of both directions, or None if the link has no wire."""
    return None if options.netem is msgspec.UNSET else Netem.parse(options.netem)
