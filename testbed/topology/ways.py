"""The links that packets between two addresses cross, and their minimum rate."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from testbed.topology.devices import Gre, WireGuard
from testbed.topology.forwarding import Forwarding, Hop, host
from testbed.topology.model import Kind, Link, Topology


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """The path from ``source`` to ``destination`` and back.

    :param link: the first link, VLAN or tunnel of the path.
    :param links: the links to the destination in order, with those that carry a tunnel.
    :param forward: the minimum rate to the destination in bit/s, or ``None`` if no link has a rate
        or a trace sets one.
    :param reverse: the same for the way back, which may be different.
    """

    source: str
    destination: str
    link: str
    links: tuple[str, ...]
    forward: int | None
    reverse: int | None


def ways_of(
    topology: Topology, pairs: Iterable[tuple[str, str]], forwarding: Forwarding
) -> tuple[Way, ...]:
    """Return the path of each pair of addresses that reach each other.

    Pairs with several equal-cost paths are left out, because each connection has its own path.

    :param forwarding: the forwarding of the topology.
    """
    found = _Ways(topology, forwarding)
    ways = []
    for source, destination in pairs:
        there = found.links(source, destination)
        back = found.links(destination, source)
        if there and back:
            ways.append(
                Way(
                    source=source,
                    destination=destination,
                    link=found.first(source, destination),
                    links=tuple(link.name for link, _ in there),
                    forward=_least(there),
                    reverse=_least(back),
                )
            )
    return tuple(ways)


# A link, and the node from which packets enter it.
_Step = tuple[Link, str]


class _Ways:
    def __init__(self, topology: Topology, forwarding: Forwarding) -> None:
        self._topology = topology
        self._forwarding = forwarding
        self._node_of = {
            host(address): node.name
            for node in topology.nodes
            for interface in node.interfaces
            for address in interface.addresses
        }

    def links(self, source: str, destination: str) -> tuple[_Step, ...]:
        """Return the links of a packet from one address to another, if it arrives."""
        node = self._node_of.get(source)
        hops = None if node is None else self._forwarding.path(node, destination, source)
        if hops is None or any(hop.several for hop in hops):
            return ()
        return tuple(step for hop in hops for step in self._crossed(hop))

    def first(self, source: str, destination: str) -> str:
        """Return the first link, VLAN or tunnel of a packet that has a path."""
        hop = self._forwarding.hop(self._node_of[source], destination, source)
        return "" if hop is None else hop.interface.link

    def _crossed(self, hop: Hop) -> Iterator[_Step]:
        """Yield the links of a hop: those through switches, or those that carry a tunnel."""
        device, near = hop.interface.device, hop.interface
        if isinstance(device, Gre | WireGuard):
            yield from self.links(device.local, device.remote)
            return
        far = self._forwarding.neighbour(hop)
        ends = [near, far] if far is not None else [near]
        cards = [self._topology.node(end.node).card(end) for end in ends]
        start, end = cards[0], cards[-1]
        if start is None or end is None:
            return
        if start.link == end.link:
            yield self._topology.link(start.link), start.node
            return
        import networkx as nx  # noqa: PLC0415 - slow to load, and seldom needed

        graph: Any = nx.Graph()
        switches = {node.name for node in self._topology.nodes if node.kind is Kind.SWITCH}
        for link in self._topology.links:
            pair = link.a.node, link.b.node
            if link.name in (start.link, end.link) or switches.issuperset(pair):
                graph.add_edge(*pair, link=link)
        nodes = nx.shortest_path(graph, start.node, end.node)
        for node, following in itertools.pairwise(nodes):
            yield graph.edges[node, following]["link"], node


def _least(steps: Iterable[_Step]) -> int | None:
    shaped = [link.toward_b if node == link.a.node else link.toward_a for link, node in steps]
    if any(netem.trace for netem in shaped):
        return None
    return min((netem.rate.bits_per_second for netem in shaped if netem.rate), default=None)
