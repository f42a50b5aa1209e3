"""Where packets go in a resolved topology: rules, tables and hops, looked up as the kernel does.

It answers from the values of the plan alone, so it also checks them: a test that every address is
reached does not know how the routes were computed.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterator
from typing import Final

import msgspec

from testbed.topology.model import MAIN_TABLE, Family, Interface, Kind, Node, Route, Topology

MAX_HOPS: Final = 64  # the default TTL of Linux

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class Hop(msgspec.Struct, frozen=True):
    """One step: out of ``interface``, to the neighbour that holds ``gateway``."""

    interface: Interface
    gateway: str
    source: str | None  # the preferred source of the route


def host(address: str) -> str:
    """Return an address without its prefix length."""
    return address.partition("/")[0]


def family_of(address: str) -> Family:
    """Return the family of an address or prefix."""
    return Family.IPV6 if ":" in address else Family.IPV4


class Forwarding:
    """Looks up routes and follows packets in one topology."""

    def __init__(self, topology: Topology) -> None:
        self._nodes = {node.name: node for node in topology.nodes}
        self._segments = _segments(topology)
        self._holder = {
            host(address): interface
            for node in topology.nodes
            for interface in node.interfaces
            for address in interface.addresses
        }

    def hop(
        self, node: str, destination: str, source: str | None = None, interface: str | None = None
    ) -> Hop | None:
        """Return the next hop of a packet, or None where there is no route.

        :param source: the address the sender is bound to, which decides about rules.
        :param interface: the interface it is bound to: other interfaces' routes do not match.
        """
        route = self._route(node, destination, source, interface)
        if route is not None and route.kind == "unicast":
            out = self._nodes[node].interface(route.interface or "")
            return Hop(out, route.via or destination, route.source)
        if interface is not None and family_of(destination) is Family.IPV4:
            # ip_route_output_key_hash_rcu: "Apparently, routing tables are wrong.  Assume, that
            # the destination is on link."
            return Hop(self._nodes[node].interface(interface), destination, None)
        return None

    def neighbour(self, hop: Hop) -> Interface | None:
        """Return the interface a hop leads to, or None where nobody there has the address."""
        holder = self._holder.get(hop.gateway)
        return holder if holder is not None and self._hears(hop.interface, holder) else None

    def _route(
        self, node: str, destination: str, source: str | None, interface: str | None
    ) -> Route | None:
        wanted = ipaddress.ip_address(destination)
        tables = self._tables(node)
        for number in self._table_order(node, source):
            for network, route in tables.get(number, ()):
                if wanted.version != network.version or wanted not in network:
                    continue
                if interface in (None, route.interface) or route.kind == "unreachable":
                    return route
        return None

    def source(self, node: str, destination: str) -> str | None:
        """Return the source address an unbound socket gets; None where there is no route."""
        hop = self.hop(node, destination)
        if hop is None:
            return None
        if hop.source is not None:
            return hop.source
        family = family_of(destination)
        own = [a for a in hop.interface.addresses if family_of(a) is family]
        gateway = ipaddress.ip_address(hop.gateway)
        near = [a for a in own if gateway in ipaddress.ip_interface(a).network]
        return host((near or own)[0]) if own else None

    def reaches(
        self, node: str, destination: str, source: str, interface: str | None = None
    ) -> bool:
        """Whether a packet from ``source`` at ``node`` arrives, hop by hop."""
        for _ in range(MAX_HOPS):
            holder = self._holder.get(destination)
            if holder is not None and holder.node == node:
                return True
            hop = self.hop(node, destination, source, interface)
            following = None if hop is None else self.neighbour(hop)
            if hop is None or following is None:
                return False
            arrived = hop.gateway == destination
            if not arrived and self._nodes[following.node].kind is not Kind.ROUTER:
                return False
            node, interface = following.node, None
        return False

    def connects(self, source: str, destination: str, interface: str | None = None) -> bool:
        """Whether packets between two addresses arrive in both directions."""
        a, b = self._holder[source], self._holder.get(destination)
        return (
            b is not None
            and self.reaches(a.node, destination, source, interface)
            and self.reaches(b.node, source, destination)
        )

    def _hears(self, a: Interface, b: Interface) -> bool:
        return self._segments[a.node, a.name] == self._segments[b.node, b.name]

    def _table_order(self, node: str, source: str | None) -> Iterator[int]:
        if source is not None:
            address = ipaddress.ip_address(source)
            for rule in sorted(self._nodes[node].rules, key=lambda rule: rule.priority):
                if address in ipaddress.ip_network(rule.source):
                    yield rule.table
        yield MAIN_TABLE

    @functools.cache  # noqa: B019 - lives as long as the object, which is short
    def _tables(self, node: str) -> dict[int, list[tuple[IpNetwork, Route]]]:
        """Return each table, the longest prefixes first, with the kernel's connected routes."""
        tables: dict[int, list[tuple[IpNetwork, Route]]] = {}
        for route in (*_connected(self._nodes[node]), *self._nodes[node].routes):
            network = ipaddress.ip_network(route.destination)
            tables.setdefault(route.table, []).append((network, route))
        for entries in tables.values():
            entries.sort(key=lambda entry: -entry[0].prefixlen)
        return tables


def _connected(node: Node) -> Iterator[Route]:
    """Yield the routes that the kernel adds for the addresses of a node."""
    for interface in () if node.all_routes else node.interfaces:
        for address in interface.addresses:
            network = str(ipaddress.ip_interface(address).network)
            yield Route(destination=network, interface=interface.name, source=host(address))


def _segments(topology: Topology) -> dict[tuple[str, str], str]:
    """Return, for each interface, a name of its layer 2 domain."""
    switches = {node.name for node in topology.nodes if node.kind is Kind.SWITCH}
    joined: dict[str, set[str]] = {}  # switch -> all switches of its domain
    for link in topology.links:
        if {link.a.node, link.b.node} <= switches:
            domain = joined.get(link.a.node, {link.a.node}) | joined.get(link.b.node, {link.b.node})
            joined.update(dict.fromkeys(domain, domain))
    segments: dict[tuple[str, str], str] = {}
    for link in topology.links:
        switch = next((end.node for end in (link.a, link.b) if end.node in switches), None)
        name = f"link {link.name}"
        if switch is not None:
            name = f"switch {min(joined.get(switch, {switch}))}"
        for end in (link.a, link.b):
            segments[end.node, end.name] = name
    return segments
