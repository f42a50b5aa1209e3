"""From a topology to the operations that build it, in an order in which they can be carried out.

Namespaces come first, then sysctls (interfaces take them on when they appear), switches, veth
pairs, each node's addresses, neighbours, rules, routes and MPTCP settings, and the wires last.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator

from testbed.document import Document, join_path
from testbed.errors import InputError
from testbed.topology.model import Interface, Kind, Link, Node, Topology, middle
from testbed.topology.operations import (
    WIRE,
    AddAddress,
    AddBridge,
    AddEndpoint,
    AddNamespace,
    AddNeighbour,
    AddRoute,
    AddRule,
    AddVeth,
    AddWire,
    AnyOperation,
    Plan,
    SetLimits,
    SetSysctl,
    VethEnd,
)
from testbed.topology.resolve import resolve
from testbed.topology.skeleton import mac
from testbed.topology.spec import TopologySpec


def planned(written: Document[TopologySpec], *, engine: str = "auto", seed: int = 0) -> Plan:
    """Return the plan that builds what a document describes, as :func:`plan`.

    :raises InputError: with file, line and path.
    """
    topology = resolve(written)
    try:
        return plan(topology, engine=engine, seed=seed)
    except InputError as error:
        raise written.error(error.message, error.path or "", error.hint) from None


def plan(topology: Topology, *, engine: str = "auto", seed: int = 0) -> Plan:
    """Return the plan that builds ``topology``.

    :param engine: what shapes the wires: ``auto``, ``netem`` or ``emulator``.
    :param seed: of the wires' randomness; each wire gets its own from it.
    :raises InputError: as :func:`check_engine`.
    """
    check_engine(topology, engine)
    return Plan(topology=topology, operations=tuple(_operations(topology, engine, seed)))


def check_engine(topology: Topology, engine: str) -> None:
    """Check that an engine can carry all links.

    :raises InputError: a link has middleboxes or a shared medium, which the engine does not have.
    """
    for link in topology.links:
        if engine != "netem" or not _emulated(link):
            continue
        key, missing = "duplex", "medium that both directions share"
        if link.middlebox:
            key, missing = "middlebox", f"middleboxes, such as {link.middlebox[0].kind!r}"
        raise InputError(
            f"netem has no {missing}",
            path=join_path("links", link.name, key),
            hint="with the engine auto the emulator carries this link, and netem the others",
        )


def _emulated(link: Link) -> bool:
    """Tell whether a link has what no qdisc of the kernel does."""
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
        yield from _sysctls(node, late=True)
        yield from _node(node)
    for index, link in enumerate(topology.links):
        if link.wire:
            yield _wire(index, link, engine, seed)


def _sysctls(node: Node, *, late: bool) -> Iterator[AnyOperation]:
    """Those that name an interface (``net.ipv4.conf.wifi.forwarding``) must wait for it."""
    names = {interface.name for interface in node.interfaces}
    for key, value in node.sysctls:
        if (not names.isdisjoint(key.split(".")[3:4])) is late:
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
    """Return the seed of a wire's randomness.

    It is of the link's name, so that adding a link leaves the randomness of the others alone.
    """
    return zlib.crc32(f"{seed} {link}".encode())


def _wire(index: int, link: Link, engine: str, seed: int) -> AddWire:
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
    )
