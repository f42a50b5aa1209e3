"""The devices of VLANs and tunnels, once addresses are known; whether the network carries them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Final

from testbed.document import join_path
from testbed.errors import all_of
from testbed.hints import nearest
from testbed.topology.addresses import Addressing
from testbed.topology.devices import Gre, Tunnel, Vlan, WireGuard, kind_of
from testbed.topology.ends import End
from testbed.topology.forwarding import Forwarding, host
from testbed.topology.model import Family, Node, Topology
from testbed.topology.routes import source_tables
from testbed.topology.skeleton import Skeleton
from testbed.topology.spec import TunnelEndSpec

WIREGUARD_PORT: Final = 51820  # as wg-quick(8) and everybody's examples have it

Devices = Mapping[End, Vlan | Tunnel]


def devices(skeleton: Skeleton, addressing: Addressing) -> Devices:
    """Return the device of each end that stands on others.  Raises InputError."""
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
            message = f"{a.node!r} and {b.node!r} have no addresses of one family to send it from"
            raise skeleton.document.error(message, a.place)
        near, far = (of[family] for of in addresses)
        for end, local, remote in ((a, near, far), (b, far, near)):
            found[end] = _tunnel(
                end, local, remote, _source_table(skeleton, addressing, end, local)
            )

    all_of(*(functools.partial(add, *pair) for pair in skeleton.tunnels.values()))
    return found


def devices_of(node: Node) -> Iterator[tuple[str, str]]:
    """Yield what a node has beside the ends of links: its kind, and where the file says it."""
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
    """Return the MTU of a tunnel's end: what is written, or what fits the card it leaves by.

    :param cards: the MTU of each interface that has an address, by address.
    """
    if end.tunnel is not None and end.tunnel.mtu is not None:
        return end.tunnel.mtu
    return min(cards[device.local], cards[device.remote]) - device.overhead


def check(skeleton: Skeleton, topology: Topology) -> None:
    """Check that the network carries each tunnel's packets without one.  Raises InputError."""
    if not skeleton.tunnels:
        return
    forwarding = Forwarding(topology)

    def check_one(a: End, b: End) -> None:
        for near, far in ((a, b), (b, a)):
            device = topology.node(near.node).interface(near.name).device
            if not isinstance(device, Gre | WireGuard):
                continue
            hops = forwarding.path(near.node, device.remote, device.local)
            if hops is None:
                message = f"{device.local} of {near.node!r} does not reach {device.remote}"
                hint = "name interfaces between which there is a way: between.NODE.local"
                raise skeleton.document.error(f"{message} of {far.node!r}", near.place, hint)
            if any(isinstance(hop.interface.device, Gre | WireGuard) for hop in hops):
                message = f"{device.remote} of {far.node!r} is reached through a tunnel only"
                raise skeleton.document.error(message, near.place)
            card = hops[0].interface
            if device.local not in map(host, card.addresses) and not isinstance(device, Gre):
                message = f"{near.node!r} sends what is for {device.remote} by {card.name!r}"
                hint = f"its end needs local: {card.name}, or routing by source"
                raise skeleton.document.error(message, near.place, hint)

    all_of(*(functools.partial(check_one, *pair) for pair in skeleton.tunnels.values()))


def _families(end: End) -> list[Family]:
    """Return the families that may carry a tunnel, the preferred one first."""
    kind = end.tunnel.kind if end.tunnel is not None else ""
    if kind != "wireguard":
        return [Family.IPV6 if kind == "ip6gre" else Family.IPV4]
    return list(Family)


def _local(
    skeleton: Skeleton, addressing: Addressing, end: End, families: list[Family]
) -> dict[Family, str]:
    """Return the addresses that the packets of a tunnel may be sent from, one of each family."""
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
            message = f"{end.node!r} has no interface or address {wanted!r} to send from"
            raise skeleton.document.error(message, path, nearest(wanted, known))
    found: dict[Family, str] = {}
    for address in every:
        if address.family in families:
            found.setdefault(address.family, address.host)
    if not found:
        message = f"{end.node!r} has no {' or '.join(families)} address to send from"
        raise skeleton.document.error(message, path if wanted is not None else end.place)
    return found


def _source_table(skeleton: Skeleton, addressing: Addressing, end: End, local: str) -> int:
    """Return the table of packets from an address; 0: the node does not route by source."""
    return next(
        (
            table
            for card, table in source_tables(skeleton, end.node).items()
            if any(address.host == local for address in addressing.of[card])
        ),
        0,
    )


def _tunnel(end: End, local: str, remote: str, table: int) -> Tunnel:
    said = end.tunnel
    if said is not None and said.kind == "wireguard":
        port = said.port or WIREGUARD_PORT
        return WireGuard(local=local, remote=remote, port=port, mark=table)
    return Gre(local=local, remote=remote, key=None if said is None else said.key)
