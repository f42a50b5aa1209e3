"""The vocabulary of a plan: each operation is a value that says one thing about the network.

The same values describe the building of a topology and every later change of it (events, the
command line), so there is one way in which the sandbox is ever changed.  They carry no behaviour
beyond ``str()``, which gives the closest iproute2 command line.  They are tagged, so that a plan
survives a round trip through JSON.

``namespace`` is the name of a node, or :data:`WIRE`, the namespace in which wires and switches
live.
"""

from __future__ import annotations

from typing import Final

import msgspec

from testbed.topology.model import EndpointFlag
from testbed.wire.netem import Netem

WIRE: Final = "@wire"


class Operation(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag=True):
    """Base of all operations."""


class AddNamespace(Operation, frozen=True, kw_only=True):
    """A network namespace for a host or router, its loopback up."""

    namespace: str


class AddBridge(Operation, frozen=True, kw_only=True):
    """A switch: a bridge without spanning tree or multicast snooping."""

    namespace: str
    interface: str


class VethEnd(msgspec.Struct, frozen=True, kw_only=True):
    """One end of a veth pair as it shall be from birth.

    ``offload=False`` turns transmit checksumming and segmentation offload off, so that what
    leaves the interface is a packet of at most ``mtu`` octets with a real checksum.
    """

    namespace: str
    interface: str
    mac: str
    mtu: int
    offload: bool = False
    bridge: str | None = None  # the bridge (in the same namespace) it is a port of


class AddVeth(Operation, frozen=True, kw_only=True):
    """A veth pair; both ends are up when the operation is done."""

    a: VethEnd
    b: VethEnd


class SetSysctl(Operation, frozen=True, kw_only=True):
    """``sysctl -w key=value`` in one namespace."""

    namespace: str
    key: str  # dotted: "net.ipv4.ip_forward"
    value: str


class AddAddress(Operation, frozen=True, kw_only=True):
    """``ip address add``; IPv6 without duplicate address detection."""

    namespace: str
    interface: str
    address: str  # with prefix length


class RemoveAddress(Operation, frozen=True, kw_only=True):
    """``ip address del``."""

    namespace: str
    interface: str
    address: str


class AddNeighbour(Operation, frozen=True, kw_only=True):
    """``ip neighbour add ... nud permanent``."""

    namespace: str
    interface: str
    address: str
    mac: str


class AddRule(Operation, frozen=True, kw_only=True):
    """``ip rule add from SOURCE lookup TABLE``."""

    namespace: str
    source: str
    table: int
    priority: int


class AddRoute(Operation, frozen=True, kw_only=True):
    """``ip route add``; ``kind`` is ``unicast`` or ``unreachable``."""

    namespace: str
    destination: str
    via: str | None = None
    interface: str | None = None
    source: str | None = None
    table: int = 254
    kind: str = "unicast"


class SetLimits(Operation, frozen=True, kw_only=True):
    """``ip mptcp limits set``."""

    namespace: str
    subflows: int
    add_addr_accepted: int


class AddEndpoint(Operation, frozen=True, kw_only=True):
    """``ip mptcp endpoint add``."""

    namespace: str
    address: str
    id: int
    interface: str
    flags: tuple[EndpointFlag, ...]
    port: int | None = None


class RemoveEndpoint(Operation, frozen=True, kw_only=True):
    """``ip mptcp endpoint delete id ID``."""

    namespace: str
    id: int


class AddWire(Operation, frozen=True, kw_only=True):
    """A shaped wire between two interfaces of the wire namespace.

    Frames that arrive at ``a`` leave through ``b`` shaped by ``toward_b``, and the other way round.
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


class SetWire(Operation, frozen=True, kw_only=True):
    """Change named options of one direction (``a`` or ``b``: toward which end), keep the others.

    ``options`` are netem options in tc's grammar, for example ``{"loss": "100%"}``.  Nothing that
    is queued is lost.
    """

    link: str
    toward: str
    options: dict[str, str]


class SetLink(Operation, frozen=True, kw_only=True):
    """``ip link set IFACE up|down`` in one namespace."""

    namespace: str
    interface: str
    up: bool


AnyOperation = (
    AddNamespace
    | AddBridge
    | AddVeth
    | SetSysctl
    | AddAddress
    | RemoveAddress
    | AddNeighbour
    | AddRule
    | AddRoute
    | SetLimits
    | AddEndpoint
    | RemoveEndpoint
    | AddWire
    | SetWire
    | SetLink
)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Operations in an order in which they can be carried out."""

    topology: str
    operations: tuple[AnyOperation, ...]
