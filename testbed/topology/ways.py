"""The links that packets between two addresses cross, and the least rate on them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from testbed.topology.forwarding import MAX_HOPS, Forwarding, host
from testbed.topology.model import Interface, Kind, Link, Topology


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """The way from ``source`` to ``destination`` and back.

    :param links: to the destination, in order.
    :param forward: the least rate on the way there in bit/s; ``None`` where no link has one, or
        where a trace sets one.
    :param reverse: the same on the way back, which may be another one.
    """

    source: str
    destination: str
    links: tuple[str, ...]
    forward: int | None
    reverse: int | None


def ways_of(
    topology: Topology, pairs: Iterable[tuple[str, str]], forwarding: Forwarding
) -> tuple[Way, ...]:
    """Return the way of each pair of addresses; of those that are not reached, none.

    There is none either where a router has several ways of equal cost: each connection has its own.

    :param forwarding: of the topology.
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
                    links=tuple(link.name for link, _ in there),
                    forward=_least(there),
                    reverse=_least(back),
                )
            )
    return tuple(ways)


# A link, and the node that packets enter it from.
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
        steps: list[_Step] = []
        node = self._node_of.get(source)
        if node is None or not self._forwarding.reaches(node, destination, source):
            return ()
        for _ in range(MAX_HOPS):
            if node is None or node == self._node_of.get(destination):
                break
            hop = self._forwarding.hop(node, destination, source)
            following = None if hop is None else self._forwarding.neighbour(hop)
            if hop is None or hop.several or following is None:
                return ()
            steps += self._crossed(hop.interface, following)
            node = following.node
        return tuple(steps)

    def _crossed(self, start: Interface, end: Interface) -> Iterator[_Step]:
        """Yield the links between two interfaces of one network, through switches."""
        if start.link == end.link:
            yield self._topology.link(start.link), start.node
            return
        import networkx as nx  # noqa: PLC0415 - slow to load, and seldom needed

        graph: Any = nx.Graph()
        switches = {node.name for node in self._topology.nodes if node.kind is Kind.SWITCH}
        for link in self._topology.links:
            ends = link.a.node, link.b.node
            if link.name in (start.link, end.link) or switches.issuperset(ends):
                graph.add_edge(*ends, link=link)
        nodes = nx.shortest_path(graph, start.node, end.node)
        for node, following in itertools.pairwise(nodes):
            yield graph.edges[node, following]["link"], node


def _least(steps: Iterable[_Step]) -> int | None:
    shaped = [link.toward_b if node == link.a.node else link.toward_a for link, node in steps]
    if any(netem.trace for netem in shaped):
        return None
    return min((netem.rate.bits_per_second for netem in shaped if netem.rate), default=None)
