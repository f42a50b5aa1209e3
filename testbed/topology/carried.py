"""The devices of VLANs and tunnels, and checks that the network carries them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from testbed.document import join_path
from testbed.errors import all_of
from testbed.hints import nearest
from testbed.topology.addresses import MIN_IPV6_MTU, Addressing
from testbed.topology.devices import Gre, Tunnel, Vlan, WireGuard, kind_of
from testbed.topology.ends import End
from testbed.topology.forwarding import Forwarding, host
from testbed.topology.model import Family, Interface, Node, Topology
from testbed.topology.routes import source_tables
from testbed.topology.skeleton import Skeleton
from testbed.topology.spec import TunnelEndSpec

_MIN_IPV4_MTU: Final = 68  # octets; RFC 791, section 3.2
_MAX_MTU: Final = 65535  # octets, with the headers of GRE: ip_tunnel_change_mtu() in net/ipv4
WIREGUARD_PORT: Final = 51820  # as in wg-quick(8) and common examples

Devices = Mapping[End, Vlan | Tunnel]


def devices(skeleton: Skeleton, addressing: Addressing) -> Devices:
    """Return the device of each end of a VLAN or tunnel. Raises InputError."""
    ports = _ports(skeleton)
    found: dict[End, Vlan | Tunnel] = {
        end: Vlan(lower=end.card.name, id=end.vlan or 0)
        for ends in skeleton.ends.values()
        for end in ends
        if end.card is not None
    }

    def add(a: End, b: End) -> None:
        families = _families(a)
        addresses = all_of(
            *(functools.partial(_local, skeleton, addressing, end, families) for end in (a, b))
        )
        family = next((it for it in families if all(of.get(it) for of in addresses)), None)
        if family is None:
            message = (
                f"{a.node!r} and {b.node!r} have no addresses of the same family for the tunnel"
            )
            raise skeleton.document.error(message, a.place)
        near, far = (of[family] for of in addresses)
        for end, local, remote in ((a, near, far), (b, far, near)):
            table = _source_table(skeleton, addressing, end, local)
            found[end] = _tunnel(end, local, remote, ports.get(end.link, 0), table)

    all_of(*(functools.partial(add, *pair) for pair in skeleton.tunnels.values()))
    _check_different(skeleton, found)
    return found


def devices_of(node: Node) -> Iterator[tuple[str, str]]:
    """Yield the kind and the path of each device of a node that is no end of a link."""
    for name, vrf in node.vrfs:
        yield kind_of(vrf), join_path("nodes", node.name, "vrf", name)
    for interface in node.interfaces:
        card = node.card(interface)
        if interface.device is None:
            continue
        if isinstance(interface.device, Vlan) and card is not None:
            yield kind_of(interface.device), join_path("links", card.link, "vlan")
        else:
            yield kind_of(interface.device), join_path("tunnels", interface.link)


def mtu(end: End, device: Tunnel, cards: Mapping[str, int]) -> int:
    """Return the MTU of a tunnel's end: the one in the file, or the largest that fits the cards.

    :param cards: the MTU of each interface that has an address, by address.
    """
    if end.tunnel is not None and end.tunnel.mtu is not None:
        return end.tunnel.mtu
    return min(cards[device.local], cards[device.remote]) - device.overhead


def check(skeleton: Skeleton, topology: Topology) -> None:
    """Check that the network carries each tunnel's packets without a tunnel. Raises InputError."""
    if not skeleton.tunnels:
        return
    forwarding = Forwarding(topology)

    def check_one(a: End, b: End) -> None:
        for near, far in ((a, b), (b, a)):
            interface = topology.node(near.node).interface(near.name)
            device = interface.device
            if not isinstance(device, Gre | WireGuard):
                continue
            _check_mtu(skeleton, near, interface, device)
            hops = forwarding.path(near.node, device.remote, device.local)
            if hops is None:
                message = f"{device.local} of {near.node!r} does not reach {device.remote}"
                hint = "set between.NODE.local to interfaces that reach each other"
                raise skeleton.document.error(f"{message} of {far.node!r}", near.place, hint)
            if any(isinstance(hop.interface.device, Gre | WireGuard) for hop in hops):
                message = f"{device.remote} of {far.node!r} is reached only through another tunnel"
                raise skeleton.document.error(message, near.place)
            card = hops[0].interface
            if device.local not in map(host, card.addresses) and not isinstance(device, Gre):
                message = f"{near.node!r} sends packets for {device.remote} through {card.name!r}"
                hint = f"set local: {card.name} at its end, or policy_routing: true"
                raise skeleton.document.error(message, near.place, hint)

    all_of(*(functools.partial(check_one, *pair) for pair in skeleton.tunnels.values()))


def _check_mtu(skeleton: Skeleton, end: End, interface: Interface, device: Tunnel) -> None:
    """Check that an interface can have its MTU."""
    six = any(":" in address for address in interface.addresses)
    family, least = ("IPv6", MIN_IPV6_MTU) if six else ("IPv4", _MIN_IPV4_MTU)
    if interface.mtu < least:
        message = f"an MTU of {interface.mtu} octets is too small for {family}, which needs {least}"
        hint = "set a larger mtu at the links that carry the tunnel"
        hint += ", or its ends addresses: [ipv4]" if six else ""
        raise skeleton.document.error(message, end.mtu_path, hint)
    most = _MAX_MTU - device.overhead
    if isinstance(device, Gre) and interface.mtu > most:
        message = f"an MTU of {interface.mtu} octets is too large for {device.kind}"
        raise skeleton.document.error(message, end.mtu_path, f"the maximum is {most}")


def _check_different(skeleton: Skeleton, found: Devices) -> None:
    """Check that no two GRE tunnels have the same ends and key."""
    known: dict[tuple[str, Gre], str] = {}

    def check_one(end: End) -> None:
        device = found[end]
        if not isinstance(device, Gre):
            return
        other = known.setdefault((end.node, device), end.link)
        if other != end.link:
            message = f"the kernel cannot tell its packets from those of tunnel {other!r}"
            raise skeleton.document.error(message, end.place, "set another key at one of them")

    pairs = skeleton.tunnels.values()
    all_of(*(functools.partial(check_one, end) for pair in pairs for end in pair))


def _ports(skeleton: Skeleton) -> dict[str, int]:
    """Return the port of each WireGuard tunnel, which is unique at both of its ends.

    :raises InputError: two tunnels at a node set the same port.
    """
    used: dict[str, dict[int, str]] = {name: {} for name in skeleton.nodes}
    found: dict[str, int] = {}

    def take(name: str, port: int, nodes: Iterable[str]) -> None:
        found[name] = port
        for node in nodes:
            other = used[node].setdefault(port, name)
            if other != name:
                message = f"tunnel {other!r} already has the port {port} at {node!r}"
                raise skeleton.document.error(message, join_path("tunnels", name, "port"))

    tunnels = skeleton.spec.tunnels.items()
    ends = {name: [end.node for end in pair] for name, pair in skeleton.tunnels.items()}
    written = [(name, it.port) for name, it in tunnels if it.port is not None]
    all_of(*(functools.partial(take, name, port, ends[name]) for name, port in written))
    for name, it in tunnels:
        if it.kind == "wireguard" and name not in found:
            taken = [used[node] for node in ends[name]]
            free = itertools.chain(range(WIREGUARD_PORT, 65536), range(1, WIREGUARD_PORT))
            take(
                name, next(port for port in free if not any(port in it for it in taken)), ends[name]
            )
    return found


def _families(end: End) -> list[Family]:
    """Return the address families that may carry a tunnel, the preferred one first."""
    kind = end.tunnel.kind if end.tunnel is not None else ""
    if kind != "wireguard":
        return [Family.IPV6 if kind == "ip6gre" else Family.IPV4]
    return list(Family)


def _local(
    skeleton: Skeleton, addressing: Addressing, end: End, families: list[Family]
) -> dict[Family, str]:
    """Return the possible source addresses of a tunnel's packets, one of each family."""
    spec = end.spec
    wanted = spec.local if isinstance(spec, TunnelEndSpec) else None
    path = f"{end.path}.local"
    cards = {it.name: it for it in skeleton.ends[end.node] if it.tunnel is None and not it.vrf}
    every = [address for it in cards.values() for address in addressing.of[it]]
    if wanted in cards:
        every = list(addressing.of[cards[wanted]])
    elif wanted is not None:
        known = [*cards, *(address.host for address in every)]
        every = [address for address in every if address.host == wanted]
        if not every:
            message = (
                f"{end.node!r} has no interface or address {wanted!r} for the tunnel's packets"
            )
            raise skeleton.document.error(message, path, nearest(wanted, known))
    found: dict[Family, str] = {}
    for address in every:
        if address.family in families:
            found.setdefault(address.family, address.host)
    if not found:
        message = f"{end.node!r} has no {' or '.join(families)} address for the tunnel's packets"
        raise skeleton.document.error(message, path if wanted is not None else end.place)
    return found


def _source_table(skeleton: Skeleton, addressing: Addressing, end: End, local: str) -> int:
    """Return the routing table for a source address, or 0 if the node does not route by source."""
    return next(
        (
            table
            for card, table in source_tables(skeleton, end.node).items()
            if any(address.host == local for address in addressing.of[card])
        ),
        0,
    )


def _tunnel(end: End, local: str, remote: str, port: int, table: int) -> Tunnel:
    said = end.tunnel
    if said is not None and said.kind == "wireguard":
        return WireGuard(local=local, remote=remote, port=port, mark=table)
    return Gre(local=local, remote=remote, key=None if said is None else said.key)
