"""The forwarding of packets in a resolved topology, with rules and tables as in the kernel.

It uses only the values of the plan, so it also checks them: a test that every address is reachable
is independent of the computation of the routes.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterator
from typing import Final

import msgspec

from testbed.topology.devices import Vlan
from testbed.topology.model import MAIN_TABLE, Family, Interface, Kind, Node, Route, Topology

MAX_HOPS: Final = 64  # the default TTL of Linux

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IpInterface = ipaddress.IPv4Interface | ipaddress.IPv6Interface

_FORWARDING: Final = {
    Family.IPV4: "net.ipv4.ip_forward",
    Family.IPV6: "net.ipv6.conf.all.forwarding",
}
_ARP_IGNORE: Final = "net.ipv4.conf.all.arp_ignore"
_LABELS: Final = tuple(
    (ipaddress.IPv6Network(prefix), label)
    for prefix, label in (("2001::/32", 5), ("2002::/16", 2), ("fc00::/7", 13))
)


_Tables = dict[int, list[tuple[IpNetwork, Route]]]  # routes by the number of their table


class Hop(msgspec.Struct, frozen=True):
    """One step: out of ``interface``, to the neighbour with the address ``gateway``."""

    interface: Interface
    gateway: str
    source: str | None  # the preferred source of the route
    several: bool = False  # one of several equal-cost paths


# Parsing an address takes most of the time, and the same few addresses are parsed often.
_address: Final = functools.lru_cache(maxsize=1024)(ipaddress.ip_address)
_network: Final = functools.lru_cache(maxsize=1024)(ipaddress.ip_network)
_interface: Final = functools.lru_cache(maxsize=1024)(ipaddress.ip_interface)


def host(address: str) -> str:
    """Return an address without its prefix length."""
    return address.partition("/")[0]


def family_of(address: str) -> Family:
    """Return the family of an address or prefix."""
    return Family.IPV6 if ":" in address else Family.IPV4


def unfit(value: ipaddress.IPv4Interface | ipaddress.IPv6Interface) -> str | None:
    """Return why an address is invalid for a host, or None if it is valid."""
    ip, network = value.ip, value.network
    if ip.is_multicast or ip.is_loopback or ip.is_unspecified:
        return "is not a unicast address of a host"
    if ip.is_link_local:
        return "is a link-local address; use a global or private one"
    if network.max_prefixlen - network.prefixlen >= 2:
        if ip == network.network_address:
            return "is the address of the network itself"
        if value.version == 4 and ip == network.broadcast_address:
            return f"is the broadcast address of {network}"
    return None


def forwards(node: Node, family: Family) -> bool:
    """Return whether a node forwards packets of a family."""
    value = dict(node.sysctls).get(_FORWARDING[family])
    return node.kind.forwards if value is None else value != "0"


class Forwarding:
    """Looks up routes and follows packets in one topology."""

    def __init__(self, topology: Topology) -> None:
        self._nodes = {node.name: node for node in topology.nodes}
        self._segments = domains(topology)
        self._tables_of: dict[str, _Tables] = {}
        self._holder = {
            host(address): interface
            for node in topology.nodes
            for interface in node.interfaces
            for address in interface.addresses
        }

    def hop(
        self,
        node: str,
        destination: str,
        source: str | None = None,
        interface: str | None = None,
        vrf: str = "",
    ) -> Hop | None:
        """Return the next hop of a packet, or None without a route.

        Of several equal-cost paths it is that of the first.

        :param source: the address the sender is bound to, which selects the rules.
        :param interface: the interface it is bound to; routes of other interfaces do not match.
        :param vrf: the VRF of the interface on which the packet arrived.
        """
        return next(iter(self.hops(node, destination, source, interface, vrf)), None)

    def hops(
        self,
        node: str,
        destination: str,
        source: str | None = None,
        interface: str | None = None,
        vrf: str = "",
    ) -> tuple[Hop, ...]:
        """Return the next hop on each of the equal-cost paths; see :meth:`hop`."""
        route = self._route(node, destination, source, interface, vrf)
        if route is not None and route.nexthops:
            return tuple(
                Hop(self._nodes[node].interface(it.interface), it.via, route.source, several=True)
                for it in route.nexthops
            )
        only = self._hop(route, node, destination, interface)
        return () if only is None else (only,)

    def _hop(
        self, route: Route | None, node: str, destination: str, interface: str | None
    ) -> Hop | None:
        if route is not None and route.kind == "unicast":
            out = self._nodes[node].interface(route.interface or "")
            if self._says_on_link(node, route):
                chosen = route.source or _nearest(out, route.via or "")
                return Hop(out, destination, chosen)
            return Hop(out, route.via or destination, route.source)
        if interface is not None and family_of(destination) is Family.IPV4:
            # ip_route_output_key_hash_rcu: "Apparently, routing tables are wrong.  Assume, that
            # the destination is on link."
            return Hop(self._nodes[node].interface(interface), destination, None)
        return None

    def _is_own(self, node: str, address: str, vrf: str = "") -> bool:
        holder = self._holder.get(address)
        return holder is not None and (holder.node, holder.vrf) == (node, vrf)

    def _says_on_link(self, node: str, route: Route) -> bool:
        """Return whether the gateway of an IPv4 route means that the destination is on link.

        It does if it is an address of the route's interface: then the kernel finds it in the local
        table. The kernel searches the route's own table first, unless that is the main one. A route
        found there makes it an ordinary gateway: fib_check_nh_v4_gw() of net/ipv4/fib_semantics.c.
        """
        holder = None if route.via is None else self._holder.get(route.via)
        if holder is None or (holder.node, holder.name) != (node, route.interface):
            return False
        if route.table == MAIN_TABLE:
            return True
        routes = self._nodes[node].routes
        return not any(
            other.table == route.table
            and other.interface == route.interface
            and other.via is None
            and _address(route.via or "") in _network(other.destination)
            for other in routes[: routes.index(route)]
        )

    def neighbour(self, hop: Hop) -> Interface | None:
        """Return the interface a hop leads to, or None if no node there has the address.

        A node answers ARP for all its IPv4 addresses on each of its interfaces, unless
        ``arp_ignore`` is set (ip-sysctl.rst). Neighbour Discovery answers only for those of the
        interface.
        """
        holder = self._holder.get(hop.gateway)
        if holder is None or holder.node == hop.interface.node:
            return None
        if self._hears(hop.interface, holder):
            return holder
        node = self._nodes[holder.node]
        if ":" in hop.gateway or dict(node.sysctls).get(_ARP_IGNORE, "0") != "0":
            return None
        return next((it for it in node.interfaces if self._hears(hop.interface, it)), None)

    def _route(
        self,
        node: str,
        destination: str,
        source: str | None,
        interface: str | None,
        vrf: str,
    ) -> Route | None:
        wanted = _address(destination)
        tables = self._tables(node)
        for number in self._table_order(node, source, vrf):
            for network, route in tables.get(number, ()):
                if wanted.version != network.version or wanted not in network:
                    continue
                if interface in (None, route.interface) or (
                    route.kind == "unreachable" and wanted.version == 4
                ):
                    return route
        return None

    def source(self, node: str, destination: str) -> str | None:
        """Return the source address of an unbound socket, or None without a route."""
        hop = self.hop(node, destination)
        if hop is not None and hop.source is not None:
            source: str | None = hop.source
        elif family_of(destination) is Family.IPV6:
            source = self._source_ipv6(node, destination, hop)
            if hop is not None:
                return source
        else:
            source = None if hop is None else self._source_ipv4(node, hop)
        # The kernel repeats the look-up with the chosen address, which may match rules.
        return source if source and self.hop(node, destination, source) else None

    def _source_ipv4(self, node: str, hop: Hop) -> str | None:
        """Choose a source address like inet_select_addr() of net/ipv4/devinet.c."""
        others = (_nearest(it, hop.gateway) for it in self._nodes[node].interfaces)
        return _nearest(hop.interface, hop.gateway) or next(filter(None, others), None)

    def _source_ipv6(self, node: str, destination: str, hop: Hop | None) -> str | None:
        """Choose a source address by RFC 6724, section 5.

        Of equal addresses the kernel takes those of the first interface, and of these the last
        added.
        """
        out = None if hop is None else hop.interface
        ranked = [
            (_rank(destination, value, interface is out), value.ip)
            for interface in self._nodes[node].interfaces
            for value in reversed(_values(interface, Family.IPV6))
        ]
        return str(max(ranked, key=lambda each: each[0])[1]) if ranked else None

    def reaches(
        self, node: str, destination: str, source: str, interface: str | None = None
    ) -> bool:
        """Return whether a packet from ``source`` at ``node`` arrives, hop by hop.

        A node accepts packets for any of its addresses on every interface, but no IPv4 packets from
        itself, because those are martians (RFC 1812, section 5.3.7).
        """
        return self.path(node, destination, source, interface) is not None

    def path(
        self, node: str, destination: str, source: str, interface: str | None = None
    ) -> tuple[Hop, ...] | None:
        """Return the hops of a packet, or None if it does not arrive. See :meth:`reaches`."""
        start, vrf = node, ""
        found: list[Hop] = []
        for _ in range(MAX_HOPS):
            if found and family_of(source) is Family.IPV4 and self._is_own(node, source, vrf):
                return None
            if self._is_own(node, destination, vrf):
                return tuple(found)
            if node != start and not forwards(self._nodes[node], family_of(source)):
                return None
            hop = self.hop(node, destination, source, interface, vrf)
            following = None if hop is None else self.neighbour(hop)
            if hop is None or following is None:
                return None
            found.append(hop)
            node, interface, vrf = following.node, None, following.vrf
        return None

    def connects(self, source: str, destination: str, interface: str | None = None) -> bool:
        """Return whether packets between two addresses arrive in both directions."""
        a, b = self._holder[source], self._holder.get(destination)
        return (
            b is not None
            and self.reaches(a.node, destination, source, interface)
            and self.reaches(b.node, source, destination)
        )

    def _hears(self, a: Interface, b: Interface) -> bool:
        return self._segments[a.node, a.name] == self._segments[b.node, b.name]

    def _table_order(self, node: str, source: str | None, vrf: str) -> Iterator[int]:
        if vrf:  # the kernel's rule for VRFs precedes those of the topology
            yield dict(self._nodes[node].vrfs)[vrf].table
        if source is not None:
            address = _address(source)
            for rule in sorted(self._nodes[node].rules, key=lambda rule: rule.priority):
                if not rule.mark and address in _network(rule.source):
                    yield rule.table
        yield MAIN_TABLE

    def _tables(self, node: str) -> _Tables:
        if node not in self._tables_of:
            self._tables_of[node] = self._tables_made(node)
        return self._tables_of[node]

    def _tables_made(self, node: str) -> _Tables:
        """Return each table, the longest prefixes first, with the kernel's connected routes.

        A route of the file replaces a connected IPv4 route. A connected IPv6 route has priority
        over it, because its metric is 256 and that of others 1024 (linux/ipv6_route.h).
        """
        tables: _Tables = {}
        routes = self._nodes[node].routes
        written = {(route.table, route.destination) for route in routes}
        connected = (
            route
            for route in _connected(self._nodes[node])
            if ":" in route.destination or (route.table, route.destination) not in written
        )
        for route in (*connected, *routes):
            network = _network(route.destination)
            tables.setdefault(route.table, []).append((network, route))
        for entries in tables.values():
            entries.sort(key=lambda entry: -entry[0].prefixlen)
        return tables


def _values(interface: Interface, family: Family) -> list[IpInterface]:
    """Return the addresses of one family at an interface."""
    own = interface.addresses
    return [_interface(address) for address in own if family_of(address) is family]


def _nearest(interface: Interface, gateway: str) -> str | None:
    """Return the first IPv4 address on the network of a gateway, or else the first one."""
    own = _values(interface, Family.IPV4)
    near = (value for value in own if _address(gateway) in value.network)
    found = next(near, own[0] if own else None)
    return None if found is None else str(found.ip)


def _rank(destination: str, own: IpInterface, near: bool) -> tuple[bool, bool, bool, int]:
    """Return the rank of an IPv6 source address for a destination by RFC 6724, section 5.

    :param near: whether it is an address of the outgoing interface.
    """
    wanted = ipaddress.IPv6Address(destination)
    same = 128 - (int(wanted) ^ int(own.ip)).bit_length()
    return (
        own.ip == wanted,
        near,
        _label(own.ip) == _label(wanted),
        min(same, own.network.prefixlen),
    )


def _label(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> int:
    """Return the label of an IPv6 address: RFC 6724, section 2.1."""
    return next((label for network, label in _LABELS if address in network), 1)


def _connected(node: Node) -> Iterator[Route]:
    """Yield the routes that the kernel adds for the addresses of a node."""
    tables = dict(node.vrfs)
    for interface in () if node.all_routes else node.interfaces:
        table = tables[interface.vrf].table if interface.vrf else MAIN_TABLE
        for address in interface.addresses:
            network = str(_interface(address).network)
            # For IPv6 the kernel chooses the source when a packet is sent.
            source = None if ":" in address else host(address)
            yield Route(destination=network, interface=interface.name, source=source, table=table)


def domains(topology: Topology) -> dict[tuple[str, str], str]:
    """Return the name of the layer 2 domain of each interface, by node and interface name."""
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
    for node in topology.nodes:
        for interface in node.interfaces:
            if isinstance(interface.device, Vlan):
                lower = segments[node.name, interface.device.lower]
                segments[node.name, interface.name] = f"{lower} vlan {interface.device.id}"
            elif interface.device is not None:
                segments[node.name, interface.name] = f"tunnel {interface.link}"
    return segments
