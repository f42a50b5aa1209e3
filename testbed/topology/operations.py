"""The operations of a plan: each is a value that describes one part of the network.

The same values describe the construction of a topology and every later change (events, the command
line), so a sandbox changes in one way only. Their only behaviour is ``str()``, which returns the
closest iproute2 command line. They are tagged, so that a plan survives a round trip through JSON. A
wire has no iproute2 command: its text is ``wire ...``.

``namespace`` is the name of a node, or :data:`WIRE`, the namespace in which wires and switches
live.
"""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from testbed.middlebox.box import Box
from testbed.topology.devices import Device, Peered
from testbed.topology.model import (
    MAIN_TABLE,
    Endpoint,
    EndpointFlag,
    Limits,
    Neighbour,
    Route,
    Rule,
    Topology,
)
from testbed.wire.netem import Netem

WIRE: Final = "@wire"


def _ip(operation: Placed) -> str:
    return f"ip -n {operation.namespace}"


class Operation(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag=True):
    """The base of all operations."""


class Placed(Operation, frozen=True, kw_only=True):
    """The base of operations in one namespace."""

    namespace: str


class AddNamespace(Placed, frozen=True, kw_only=True):
    """A network namespace for a host or router, with its loopback up."""

    def __str__(self) -> str:
        return f"ip netns add {self.namespace}"


class AddBridge(Placed, frozen=True, kw_only=True):
    """A switch: a bridge without spanning tree or multicast snooping."""

    interface: str

    def __str__(self) -> str:
        options = "type bridge stp_state 0 mcast_snooping 0"
        return f"{_ip(self)} link add name {self.interface} {options}"


class VethEnd(msgspec.Struct, frozen=True, kw_only=True):
    """One end of a new veth pair.

    ``offload=False`` disables transmit checksumming and segmentation offload, so that every
    outgoing packet has at most ``mtu`` octets and a real checksum.
    """

    namespace: str
    interface: str
    mac: str
    mtu: int
    offload: bool = False
    bridge: str | None = None  # the bridge (in the same namespace) of which it is a port

    def __str__(self) -> str:
        words = f"{self.interface} netns {self.namespace} address {self.mac} mtu {self.mtu}"
        if self.bridge is not None:
            words += f" master {self.bridge}"
        return words + (" offload on" if self.offload else "")


class AddVeth(Operation, frozen=True, kw_only=True):
    """A veth pair. Both ends are up after the operation."""

    a: VethEnd
    b: VethEnd

    def __str__(self) -> str:
        return f"ip link add name {self.a} type veth peer name {self.b}"


class AddDevice(Placed, frozen=True, kw_only=True):
    """A VLAN, a tunnel or a VRF. The interface is up after the operation.

    If ``mac`` or ``mtu`` is empty, the kernel chooses it.
    """

    interface: str
    device: Device
    mac: str = ""
    mtu: int = 0  # octets

    def __str__(self) -> str:
        mac = f" address {self.mac}" if self.mac else ""
        mtu = f" mtu {self.mtu}" if self.mtu else ""
        return f"{_ip(self)} link add name {self.interface}{mac}{mtu} up {self.device}"


class SetWireGuard(Placed, frozen=True, kw_only=True):
    """``wg set``."""

    interface: str
    peered: Peered

    def __str__(self) -> str:
        return f"ip netns exec {self.namespace} wg set {self.interface} {self.peered}"


class SetMaster(Placed, frozen=True, kw_only=True):
    """``ip link set IFACE master VRF``: the interface joins a VRF."""

    interface: str
    master: str

    def __str__(self) -> str:
        return f"{_ip(self)} link set dev {self.interface} master {self.master}"


class SetSysctl(Placed, frozen=True, kw_only=True):
    """``sysctl -w key=value`` in one namespace."""

    key: str  # dotted: "net.ipv4.ip_forward"
    value: str

    def __str__(self) -> str:
        return f"ip netns exec {self.namespace} sysctl -w '{self.key}={self.value}'"


class AddAddress(Placed, frozen=True, kw_only=True):
    """``ip address add``; IPv6 without duplicate address detection."""

    interface: str
    address: str  # with prefix length

    def __str__(self) -> str:
        nodad = " nodad" if ":" in self.address else ""
        return f"{_ip(self)} address add {self.address} dev {self.interface}{nodad}"


class RemoveAddress(Placed, frozen=True, kw_only=True):
    """``ip address del``."""

    interface: str
    address: str

    def __str__(self) -> str:
        return f"{_ip(self)} address del {self.address} dev {self.interface}"


class AddNeighbour(Placed, frozen=True, kw_only=True):
    """``ip neighbour add ... nud permanent``."""

    neighbour: Neighbour

    def __str__(self) -> str:
        it = self.neighbour
        words = f"{it.address} lladdr {it.mac} dev {it.interface}"
        return f"{_ip(self)} neighbour replace {words} nud permanent"


class RemoveNeighbour(Placed, frozen=True, kw_only=True):
    """``ip neighbour del``."""

    neighbour: Neighbour

    def __str__(self) -> str:
        it = self.neighbour
        return f"{_ip(self)} neighbour del {it.address} dev {it.interface}"


class _OfRule(Placed, frozen=True, kw_only=True):
    """The action on a rule of routing by source."""

    verb: ClassVar[str]

    rule: Rule

    def __str__(self) -> str:
        it = self.rule
        family = " -6" if ":" in it.source else ""
        mark = f" fwmark {it.mark}" if it.mark else ""
        words = f"from {it.source}{mark} lookup {it.table} priority {it.priority}"
        return f"{_ip(self)}{family} rule {self.verb} {words}"


class AddRule(_OfRule, frozen=True, kw_only=True):
    """``ip rule add from SOURCE lookup TABLE``."""

    verb = "add"


class RemoveRule(_OfRule, frozen=True, kw_only=True):
    """``ip rule del from SOURCE lookup TABLE``."""

    verb = "del"


class _OfRoute(Placed, frozen=True, kw_only=True):
    """The action on a route."""

    verb: ClassVar[str]

    route: Route

    def __str__(self) -> str:
        it = self.route
        words = [_ip(self), f"route {self.verb}"]
        if it.kind != "unicast":
            words.append(it.kind)
        words.append(it.destination)
        for word, value in (("via", it.via), ("dev", it.interface), ("src", it.source)):
            if value is not None:
                words.append(f"{word} {value}")
        if it.table != MAIN_TABLE:
            words.append(f"table {it.table}")
        words += [f"nexthop via {each.via} dev {each.interface}" for each in it.nexthops]
        return " ".join(words)


class AddRoute(_OfRoute, frozen=True, kw_only=True):
    """``ip route replace``."""

    verb = "replace"


class RemoveRoute(_OfRoute, frozen=True, kw_only=True):
    """``ip route del``."""

    verb = "del"


class SetLimits(Placed, frozen=True, kw_only=True):
    """``ip mptcp limits set``."""

    limits: Limits

    def __str__(self) -> str:
        it = self.limits
        words = f"subflows {it.subflows} add_addr_accepted {it.add_addr_accepted}"
        return f"{_ip(self)} mptcp limits set {words}"


class AddEndpoint(Placed, frozen=True, kw_only=True):
    """``ip mptcp endpoint add``; an endpoint with no ``interface`` is bound to none."""

    endpoint: Endpoint

    def __str__(self) -> str:
        it = self.endpoint
        port = "" if it.port is None else f" port {it.port}"
        dev = f" dev {it.interface}" if it.interface else ""
        words = " ".join([f"{it.address}{port}{dev} id {it.id}", *it.flags])
        return f"{_ip(self)} mptcp endpoint add {words}"


class RemoveEndpoint(Placed, frozen=True, kw_only=True):
    """``ip mptcp endpoint delete id ID``."""

    id: int

    def __str__(self) -> str:
        return f"{_ip(self)} mptcp endpoint delete id {self.id}"


class ChangeEndpoint(Placed, frozen=True, kw_only=True):
    """``ip mptcp endpoint change``: whether an endpoint is a backup, and whether ``fullmesh``.

    Hosts inform the peers of its subflows about backups (MP_PRIO of RFC 8684, section 3.3.8). With
    ``fullmesh`` it opens subflows to each address of the peer, and without it to one.
    """

    endpoint: Endpoint

    def __str__(self) -> str:
        flags = self.endpoint.flags
        words = "backup" if EndpointFlag.BACKUP in flags else "nobackup"
        if EndpointFlag.FULLMESH in flags:
            words += " fullmesh"
        return f"{_ip(self)} mptcp endpoint change id {self.endpoint.id} {words}"


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """The interface of a link's end, as the place of a shaper."""

    namespace: str
    interface: str


class AddWire(Operation, frozen=True, kw_only=True):
    """A shaped wire between two interfaces of the wire namespace.

    Frames that arrive at ``a`` leave through ``b`` shaped by ``toward_b``, and vice versa. With
    ``half_duplex`` only one frame of both directions is on the wire at a time. Before shaping,
    frames cross the ``middlebox`` list, whose first entry is nearest to ``a``; ``nodes`` are those
    at the ends of the link. ``senders`` are the interfaces that send toward ``a`` and toward ``b``,
    if frames are shaped there and not in the middle.
    """

    link: str
    a: str
    b: str
    mtu: int
    toward_b: Netem
    toward_a: Netem
    engine: str = "auto"  # auto, netem or emulator
    seed: int = 0
    offload: bool = False
    half_duplex: bool = False
    middlebox: tuple[Box, ...] = ()
    nodes: tuple[str, str] = ("", "")
    senders: tuple[Sender, Sender] | None = None

    def __str__(self) -> str:
        directions = [
            f"toward {end} {netem.to_tc() or 'unshaped'}"
            for end, netem in ((self.b, self.toward_b), (self.a, self.toward_a))
        ]
        words = f"wire add {self.link} {self.a} {self.b} {' '.join(directions)}"
        offload = " offload on" if self.offload else ""
        offload += " duplex half" if self.half_duplex else ""
        offload += " shaper sender" if self.senders else ""
        boxes = f" middlebox [{', '.join(map(str, self.middlebox))}]" if self.middlebox else ""
        return f"{words} mtu {self.mtu} engine {self.engine} seed {self.seed}{offload}{boxes}"


class SetWire(Operation, frozen=True, kw_only=True):
    """Change named options of the direction toward one end (``a`` or ``b``), and keep the others.

    ``options`` are netem options in tc's grammar, for example ``{"loss": "100%"}``. Queued packets
    are not lost.
    """

    link: str
    toward: str
    options: dict[str, str]

    def __str__(self) -> str:
        options = " ".join(f"{name} {value}" for name, value in self.options.items())
        return f"wire change {self.link} toward {self.toward} {options}"


class BeginTraces(Operation, frozen=True, kw_only=True):
    """Restart traces and flapping on all wires at the same time."""

    def __str__(self) -> str:
        return "wire begin traces"


class SetLink(Placed, frozen=True, kw_only=True):
    """``ip link set IFACE up|down`` in one namespace."""

    interface: str
    up: bool

    def __str__(self) -> str:
        return f"{_ip(self)} link set dev {self.interface} {'up' if self.up else 'down'}"


AnyOperation = (
    AddNamespace
    | AddBridge
    | AddVeth
    | AddDevice
    | SetWireGuard
    | SetMaster
    | SetSysctl
    | AddAddress
    | RemoveAddress
    | AddNeighbour
    | RemoveNeighbour
    | AddRule
    | RemoveRule
    | AddRoute
    | RemoveRoute
    | SetLimits
    | AddEndpoint
    | RemoveEndpoint
    | ChangeEndpoint
    | AddWire
    | SetWire
    | BeginTraces
    | SetLink
)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Operations in an executable order, and the topology that they build."""

    topology: Topology
    operations: tuple[AnyOperation, ...]
