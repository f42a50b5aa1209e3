"""The plan of a topology: the operations that build it, in an executable order.

The order is: namespaces, sysctls (new interfaces inherit them), switches, veth pairs, each node's
VLANs, tunnels and VRFs, addresses, neighbours, rules, routes and MPTCP settings, and the wires.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator

from testbed.document import Document, join_path
from testbed.errors import InputError
from testbed.topology.devices import Peered, Vlan, WireGuard
from testbed.topology.forwarding import domains
from testbed.topology.keys import private_key, public_key
from testbed.topology.model import Interface, Kind, Link, Node, Topology, middle
from testbed.topology.operations import (
    WIRE,
    AddAddress,
    AddBridge,
    AddDevice,
    AddEndpoint,
    AddNamespace,
    AddNeighbour,
    AddRoute,
    AddRule,
    AddVeth,
    AddWire,
    AnyOperation,
    Plan,
    Sender,
    SetLimits,
    SetMaster,
    SetSysctl,
    SetWireGuard,
    VethEnd,
)
from testbed.topology.resolve import resolve
from testbed.topology.skeleton import mac
from testbed.topology.spec import TopologySpec


def planned(written: Document[TopologySpec], *, engine: str = "auto", seed: int = 0) -> Plan:
    """Return the plan that builds the topology of a document, as :func:`plan` does.

    :raises InputError: the document is invalid; with file, line and path.
    """
    topology = resolve(written)
    try:
        return plan(topology, engine=engine, seed=seed)
    except InputError as error:
        raise written.error(error.message, error.path or "", error.hint) from None


def plan(topology: Topology, *, engine: str = "auto", seed: int = 0) -> Plan:
    """Return the plan that builds ``topology``.

    :param engine: the shaper of the wires: ``auto``, ``netem`` or ``emulator``.
    :param seed: the random seed, from which each wire's own seed is derived.
    :raises InputError: as for :func:`check_engine`.
    """
    check_engine(topology, engine)
    return Plan(topology=topology, operations=tuple(_operations(topology, engine, seed)))


def check_engine(topology: Topology, engine: str) -> None:
    """Check that an engine can carry all links.

    :raises InputError: a link has middleboxes or a shared medium, which the engine lacks, or VLANs,
        whose tags the emulator does not see, or a shaper at the sender, which only netem supports.
    """
    tagged = _tagged(topology)
    for link in topology.links:
        if link.at_sender:
            _check_sender(link, engine)
        if link.name in tagged and (_emulated(link) or (link.wire and engine == "emulator")):
            raise InputError(
                "the emulator cannot carry VLANs: packet sockets remove the tags from frames",
                path=join_path("links", link.name),
                hint="remove middlebox and duplex from the link, and use the engine netem or auto",
            )
        if engine != "netem" or not _emulated(link):
            continue
        key, missing = "duplex", "shared medium (duplex: half)"
        if link.middlebox:
            key, missing = "middlebox", f"middleboxes, such as {link.middlebox[0].kind!r}"
        raise InputError(
            f"netem has no {missing}",
            path=join_path("links", link.name, key),
            hint="use the engine auto: then the emulator carries this link, and netem the others",
        )


def _check_sender(link: Link, engine: str) -> None:
    path = join_path("links", link.name, "shaper")
    hint = "remove the key shaper to shape in the middle"
    if not link.wire:
        raise InputError("the link has no wire to shape", path=path, hint="add 'netem: {}' to it")
    if _emulated(link):
        what = "a shared medium" if link.half_duplex else "middleboxes"
        raise InputError(
            f"a link with {what} can be shaped only in the middle", path=path, hint=hint
        )
    if engine == "emulator":
        raise InputError("the emulator shapes only in the middle", path=path, hint=hint)


def _tagged(topology: Topology) -> set[str]:
    """Return the links that VLAN frames can cross, which are all links of a segment."""
    vlans = [
        (node.name, interface.device.lower)
        for node in topology.nodes
        for interface in node.interfaces
        if isinstance(interface.device, Vlan)
    ]
    if not vlans:
        return set()
    domain = domains(topology)
    tagged = {domain[place] for place in vlans}
    return {link.name for link in topology.links if domain[link.a.node, link.a.name] in tagged}


def _emulated(link: Link) -> bool:
    """Return whether a link has a feature that no qdisc of the kernel provides."""
    return bool(link.middlebox) or link.half_duplex


def _operations(topology: Topology, engine: str, seed: int) -> Iterator[AnyOperation]:
    nodes = [node for node in topology.nodes if node.kind is not Kind.SWITCH]
    switches = [node.name for node in topology.nodes if node.kind is Kind.SWITCH]
    for node in nodes:
        yield AddNamespace(namespace=node.name)
    for node in nodes:
        yield from _sysctls(node, late=False)
    for switch in switches:
        yield AddBridge(namespace=WIRE, interface=switch)
    for index, link in enumerate(topology.links):
        yield from _veths(index, link, switches)
    for node in nodes:
        yield from _devices(topology, node, seed)
        yield from _sysctls(node, late=True)
        yield from _node(node)
    tagged = _tagged(topology)
    for index, link in enumerate(topology.links):
        if link.wire:
            only_netem = link.name in tagged or link.at_sender
            yield _wire(index, link, "netem" if only_netem else engine, seed, switches)


def _sysctls(node: Node, *, late: bool) -> Iterator[AnyOperation]:
    """Yield the sysctls of a node.

    Those that name an interface (``net.ipv4.conf.wifi.forwarding``) are late: the interface must
    exist.
    """
    names = {interface.name for interface in node.interfaces} | {name for name, _ in node.vrfs}
    for key, value in node.sysctls:
        separator = "/" if "/" in key else "."
        if (not names.isdisjoint(key.split(separator)[3:4])) is late:
            yield SetSysctl(namespace=node.name, key=key, value=value)


def _veths(index: int, link: Link, switches: Collection[str]) -> Iterator[AnyOperation]:
    a, b = (_end(interface, link, switches) for interface in (link.a, link.b))
    if not link.wire:
        yield AddVeth(a=a, b=b)
        return
    for side, end in (("a", a), ("b", b)):
        number = 2 * index + (side == "b")
        yield AddVeth(
            a=end,
            b=VethEnd(
                namespace=WIRE,
                interface=middle(index, side),
                mac=mac(number, role=1),
                mtu=link.mtu,
                offload=link.offload,
            ),
        )


def _end(interface: Interface, link: Link, switches: Collection[str]) -> VethEnd:
    port = interface.node in switches
    return VethEnd(
        namespace=WIRE if port else interface.node,
        interface=interface.name,
        mac=interface.mac,
        mtu=link.mtu,
        offload=link.offload,
        bridge=interface.node if port else None,
    )


def _devices(topology: Topology, node: Node, seed: int) -> Iterator[AnyOperation]:
    """Yield the VRFs of a node, the devices on its links, and the interfaces' VRF memberships."""
    for name, vrf in node.vrfs:
        yield AddDevice(namespace=node.name, interface=name, device=vrf)
    for interface in node.interfaces:
        if interface.device is not None:
            yield AddDevice(
                namespace=node.name,
                interface=interface.name,
                device=interface.device,
                mac=interface.mac,
                mtu=interface.mtu,
            )
        if isinstance(interface.device, WireGuard):
            yield _wireguard(topology, interface, interface.device, seed)
        if interface.vrf:
            yield SetMaster(namespace=node.name, interface=interface.name, master=interface.vrf)


def _wireguard(
    topology: Topology, interface: Interface, device: WireGuard, seed: int
) -> SetWireGuard:
    tunnel = interface.link
    peer = next(
        node.name
        for node in topology.nodes
        for other in node.interfaces
        if other.link == tunnel and other is not interface
    )
    peered = Peered(
        private_key=private_key(seed, tunnel, interface.node),
        peer_key=public_key(private_key(seed, tunnel, peer)),
        endpoint=device.remote,
        port=device.port,
        mark=device.mark,
    )
    return SetWireGuard(namespace=interface.node, interface=interface.name, peered=peered)


def _node(node: Node) -> Iterator[AnyOperation]:
    name = node.name
    for interface in node.interfaces:
        for address in interface.addresses:
            yield AddAddress(namespace=name, interface=interface.name, address=address)
    for neighbour in node.neighbours:
        yield AddNeighbour(namespace=name, neighbour=neighbour)
    for rule in node.rules:
        yield AddRule(namespace=name, rule=rule)
    for route in node.routes:
        yield AddRoute(namespace=name, route=route)
    if node.limits is not None:
        yield SetLimits(namespace=name, limits=node.limits)
    for endpoint in node.endpoints:
        yield AddEndpoint(namespace=name, endpoint=endpoint)


def wire_seed(seed: int, link: str) -> int:
    """Return the random seed of a wire.

    It depends on the link's name, so that another link does not change the other seeds.
    """
    return zlib.crc32(f"{seed} {link}".encode())


def _sender(end: Interface, switches: Collection[str]) -> Sender:
    namespace = WIRE if end.node in switches else end.node
    return Sender(namespace=namespace, interface=end.name)


def _wire(index: int, link: Link, engine: str, seed: int, switches: Collection[str]) -> AddWire:
    return AddWire(
        link=link.name,
        a=middle(index, "a"),
        b=middle(index, "b"),
        mtu=link.mtu,
        toward_b=link.toward_b,
        toward_a=link.toward_a,
        engine="emulator" if _emulated(link) else engine,
        seed=wire_seed(seed, link.name),
        offload=link.offload,
        half_duplex=link.half_duplex,
        middlebox=link.middlebox,
        nodes=(link.a.node, link.b.node) if link.middlebox else ("", ""),
        senders=(_sender(link.b, switches), _sender(link.a, switches)) if link.at_sender else None,
    )
