"""Routes: the shortest paths through the routers, and policy routing by source.

Relays can be gateways, hosts cannot. Of equally short paths the first in the file is used, or with
``multipath`` all of them. A node with one interface gets a default route, and more specific routes
only if another router on its segment is nearer. Routers and hosts with several interfaces get one
route per subnet.

A path uses a tunnel only if no other path exists: the network that carries the tunnel has priority.
Each VRF of a router has a table, and routes like a separate router.

In addition, a host with several interfaces has for each interface a rule ``from ADDRESS lookup
TABLE``, and a table with only the destinations that are reachable through that interface. The table
ends in ``unreachable default``, so a packet leaves only through the interface of its source
address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeVar

import msgspec

from testbed.document import join_path
from testbed.hints import nearest
from testbed.topology import vrfs
from testbed.topology.addresses import Address, Addressing, IpAddress
from testbed.topology.devices import WireGuard
from testbed.topology.ends import End
from testbed.topology.forwarding import family_of
from testbed.topology.model import MAIN_TABLE, Family, NextHop, Route, Rule
from testbed.topology.skeleton import Skeleton
from testbed.topology.spec import RouteSpec

# The table of a node's first interface; the kernel names tables up to 255.
FIRST_TABLE: Final = 1001
FIRST_PRIORITY: Final = 1001  # the priority of its rules; the kernel uses 0, 32766 and 32767
DEFAULT: Final = {Family.IPV4: "0.0.0.0/0", Family.IPV6: "::/0"}
MAX_ROUTES: Final = 200_000  # routers times subnets


_Place = TypeVar("_Place", str, int)  # a router, or the number of a subnet
_First = tuple[End, End]  # the end and the gateway that begin a path
_Level = dict[str, dict[_First, None]]  # routers, and the first hops of the paths to them
_Way = tuple[int, list[_First]]  # the way to a subnet: one first hop, or several with multipath


class Router:
    """The computation of the routes of one family for all nodes.

    A segment may have several subnets, and an end may lack some of them: packets between subnets
    cross a router, even on one segment.

    :param like: the router of another family. If the same routers are in the same subnets, the
        paths are the same.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        addressing: Addressing,
        family: Family,
        like: Router | None = None,
    ) -> None:
        self._skeleton = skeleton
        self._family = family
        self._of = {
            end: [a for a in addresses if a.family is family]
            for end, addresses in addressing.of.items()
        }
        self._subnets: list[str] = []
        self._tunnelled: set[int] = set()  # subnets of tunnels
        for segment, subnets in zip(skeleton.segments, addressing.subnets, strict=True):
            first = len(self._subnets)
            self._subnets += subnets[family]
            if segment.is_tunnel:
                self._tunnelled.update(range(first, len(self._subnets)))
        numbers = {subnet: index for index, subnet in enumerate(self._subnets)}
        self.own = {
            end: sorted({numbers[it.network] for it in addresses})
            for end, addresses in self._of.items()
        }
        self._wanted = self._wanted_subnets()
        # A subnet with only one router has one gateway for all destinations.
        self.gateways: list[list[End]] = [[] for _ in self._subnets]
        for segment in skeleton.segments:
            for end in segment.ends:
                if skeleton.nodes[end.node].kind.forwards:
                    for subnet in self.own[end]:
                        self.gateways[subnet].append(end)
        # The subnets of each router.
        self._beside: dict[str, list[int]] = {}
        for subnet, gateways in enumerate(self.gateways):
            for gateway in gateways:
                self._beside.setdefault(gateway.router, []).append(subnet)
        self.known: dict[tuple[End, ...], list[_Way]] = {}
        if like is not None and (like.own, like.gateways) == (self.own, self.gateways):
            self.known = like.known

    def routes(self, node: str) -> list[Route]:
        """Return the routes of the main table of a node, and of the tables of its VRFs."""
        ends = [end for end in self._skeleton.ends[node] if self._of.get(end)]
        if not ends or not self._beside:
            return []
        tables = vrfs.devices(self._skeleton.nodes[node])
        if len(self._skeleton.ends[node]) == 1 and not tables:
            return self._single_homed(ends[0])
        free = [end for end in ends if not end.vrf]
        routes = list(self._routes(self._ways(free), MAIN_TABLE)) if free else []
        for name, vrf in tables:
            own = [end for end in ends if end.vrf == name]
            if own:
                routes += self._routes(self._ways(own), vrf.table)
                routes.append(self._unreachable(vrf.table))
        return routes

    def table(self, end: End, table: int) -> list[Route]:
        """Return the table for packets with an address of ``end`` as source."""
        addresses = self._of[end]
        if not addresses:
            return []
        connected = {a.network: a.host for a in reversed(addresses)}
        routes = [
            Route(destination=network, interface=end.name, source=source, table=table)
            for network, source in reversed(connected.items())
        ]
        routes += self._routes(self._ways([end]), table)
        routes.append(self._unreachable(table))
        return routes

    def _unreachable(self, table: int) -> Route:
        """Return the last route of a table, which stops the look-up in further tables."""
        return Route(destination=DEFAULT[self._family], table=table, kind="unreachable")

    def _single_homed(self, end: End) -> list[Route]:
        gateways = self._others(end)
        if not gateways:
            return []
        default = DEFAULT[self._family]
        first = gateways[0]
        routes = [Route(destination=default, via=self._via(end, first), interface=end.name)]
        if len(gateways) > 1:
            ways = [it for it in self._ways([end]) if it[1] != [(end, first)]]
            routes += self._routes(ways, MAIN_TABLE)
        return routes

    def _routes(self, ways: Iterable[_Way], table: int) -> Iterator[Route]:
        via: dict[_First, str] = {}
        for target, firsts in ways:
            for first in firsts:
                if first not in via:
                    via[first] = self._via(*first)
            destination = self._subnets[target]
            if len(firsts) == 1:
                (first,) = firsts
                yield Route(
                    destination=destination, via=via[first], interface=first[0].name, table=table
                )
            else:
                nexthops = tuple(NextHop(via[first], first[0].name) for first in firsts)
                yield Route(destination=destination, table=table, nexthops=nexthops)

    def _ways(self, ends: list[End]) -> list[_Way]:
        """Return, for each other subnet, the ends and gateways that begin the shortest paths."""
        key = tuple(ends)
        if key not in self.known:
            self.known[key] = self._shortest(ends)
        return self.known[key]

    def _shortest(self, ends: list[End]) -> list[_Way]:
        """Search breadth first, from the gateways beside the ends in their order.

        That order is kept on every level, so of equally short paths that of the first end and
        gateway is found first; without multipath the others are left out. Routers behind tunnels
        are visited after all others.
        """
        found: dict[int, dict[_First, None]] = {}
        seen = {subnet for end in ends for subnet in self.own[end]}
        level, later = self._neighbours(ends)
        reached = set(level)
        missing = len(self._wanted.keys() - seen)
        while (level or later) and missing:
            if not level:
                level = {router: it for router, it in later.items() if router not in reached}
                later = {}
                reached.update(level)
            now: dict[int, dict[_First, None]] = {}
            for router, firsts in level.items():
                for subnet in self._beside[router]:
                    if subnet not in seen:
                        self._reach(now, subnet, firsts)
            seen.update(now)
            found.update(now)
            missing -= sum(subnet in self._wanted for subnet in now)
            level = {}
            for subnet, firsts in now.items():
                into = later if subnet in self._tunnelled else level
                for gateway in self.gateways[subnet]:
                    if gateway.router not in reached:
                        self._reach(into, gateway.router, firsts)
            reached.update(level)
        return [(subnet, list(found[subnet])) for subnet in self._wanted if subnet in found]

    def _neighbours(self, ends: list[End]) -> tuple[_Level, _Level]:
        """Return the gateways on the links of some ends, and those at the other end of a tunnel."""
        level: _Level = {}
        later: _Level = {}
        for end in ends:
            for gateway in self._others(end):
                into = level if end.tunnel is None else later
                self._reach(into, gateway.router, {(end, gateway): None})
        return level, later

    def _reach(
        self, places: dict[_Place, dict[_First, None]], place: _Place, firsts: dict[_First, None]
    ) -> None:
        """Record the first hops of paths to a place; further ones only with multipath."""
        if place not in places:
            places[place] = firsts
        elif self._skeleton.spec.multipath:
            places[place] = places[place] | firsts  # new, because places share the old one

    def _others(self, end: End) -> list[End]:
        """Return the gateways on the subnets of ``end``, except its own node."""
        beside = (gateway for subnet in self.own[end] for gateway in self.gateways[subnet])
        return [gateway for gateway in dict.fromkeys(beside) if gateway.node != end.node]

    def _via(self, end: End, gateway: End) -> str:
        """Return the address of a gateway on the first subnet that it shares with an end."""
        common = next(it for it in self.own[end] if it in self.own[gateway])
        return next(a.host for a in self._of[gateway] if a.network == self._subnets[common])

    def _wanted_subnets(self) -> dict[int, None]:
        """Return the destination subnets of routes, in order: all, or those with hosts."""
        if self._skeleton.spec.routing == "all":
            return dict.fromkeys(range(len(self._subnets)))
        of_hosts = {
            subnet
            for end, subnets in self.own.items()
            if self._skeleton.nodes[end.node].kind.is_end
            for subnet in subnets
        }
        return dict.fromkeys(sorted(of_hosts))


def check_size(skeleton: Skeleton) -> None:
    """Refuse a topology with too large routing tables. Raises InputError."""
    wanted = sum(
        skeleton.spec.routing == "all"
        or any(skeleton.nodes[end.node].kind.is_end for end in segment.ends)
        for segment in skeleton.segments
    )
    routers = [name for name, node in skeleton.nodes.items() if node.kind.forwards]
    connected = sum(len(skeleton.ends[name]) for name in routers)
    count = len(routers) * wanted - min(connected, len(routers) * wanted)
    if count > MAX_ROUTES:
        message = f"{len(routers)} routers and {wanted} subnets need {count} routes"
        hint = "set `routing: hosts` to compute routes only to the subnets of hosts"
        raise skeleton.document.error(f"{message}; the maximum is {MAX_ROUTES}", "nodes", hint)


def source_tables(skeleton: Skeleton, node: str) -> dict[End, int]:
    """Return the routing table of each end of a node that routes by source; else nothing."""
    spec, ends = skeleton.nodes[node], skeleton.ends[node]
    if not (spec.kind.is_end and spec.policy_routing and len(ends) > 1):
        return {}
    return {end: FIRST_TABLE + index for index, end in enumerate(ends)}


def node_routes(
    skeleton: Skeleton,
    addressing: Addressing,
    routers: list[Router],
    node: str,
    marked: Iterable[WireGuard] = (),
) -> tuple[tuple[Rule, ...], tuple[Route, ...]]:
    """Return the rules and routes of a host or router.

    :param marked: the tunnels whose packets need a rule that selects a table.
    """
    spec = skeleton.nodes[node]
    rules: list[Rule] = []
    routes = [route for router in routers for route in router.routes(node)]
    for end, table in source_tables(skeleton, node).items():
        routes += [route for router in routers for route in router.table(end, table)]
        for address in addressing.of[end]:
            length = 32 if address.family is Family.IPV4 else 128
            priority = FIRST_PRIORITY + len(rules)
            source = f"{address.host}/{length}"
            rules.append(Rule(source=source, table=table, priority=priority))
    for tunnel in marked:
        source = DEFAULT[family_of(tunnel.local)]
        priority = FIRST_PRIORITY + len(rules)
        rules.append(Rule(source=source, table=tunnel.mark, priority=priority, mark=tunnel.mark))
    if not spec.routes:
        return tuple(rules), tuple(routes)
    by_key = {(route.table, route.destination): route for route in routes}
    written: set[tuple[int, str]] = set()
    for index, wanted in enumerate(spec.routes):
        path = join_path("nodes", node, "routes", index)
        route = _explicit(skeleton, addressing, node, wanted, path, by_key.values())
        key = route.table, route.destination
        if key in written:
            message = f"there is already a route to {route.destination} in table {route.table}"
            raise skeleton.document.error(message, path)
        written.add(key)
        by_key.pop(key, None)  # to the end: it may need earlier routes of the file
        by_key[key] = route
    return tuple(rules), tuple(by_key.values())


def _explicit(
    skeleton: Skeleton,
    addressing: Addressing,
    node: str,
    wanted: RouteSpec,
    path: str,
    before: Iterable[Route],
) -> Route:
    """Check one entry of ``routes:`` and find the interface that leads to its gateway.

    :param before: the routes that precede this one in the kernel.
    """
    error = skeleton.document.error
    via = _parse_via(skeleton, wanted, path)
    default = DEFAULT[Family.IPV6 if via is not None and via.version == 6 else Family.IPV4]
    try:
        destination = ipaddress.ip_network(default if wanted.to == "default" else wanted.to)
    except ValueError as problem:
        raise error(f"{wanted.to!r} is not a prefix: {problem}", f"{path}.to") from None
    route = Route(
        destination=str(destination),
        via=None if via is None else str(via),
        interface=wanted.interface,
        table=wanted.table,
        kind=wanted.kind,
    )
    if (wanted.kind == "unreachable") is (via is not None or wanted.interface is not None):
        message = "a unicast route needs via or interface; an unreachable route has neither"
        raise error(message, path)
    names = [end.name for end in skeleton.ends[node]]
    if wanted.interface is not None and wanted.interface not in names:
        hint = nearest(wanted.interface, names)
        raise error(f"{node!r} has no interface {wanted.interface!r}", f"{path}.interface", hint)
    own = [address for end in skeleton.ends[node] for address in addressing.of[end]]
    unicast = wanted.kind == "unicast"
    if unicast and destination.version == 6 and not any(it.family is Family.IPV6 for it in own):
        raise error(f"{node!r} has no IPv6 address, so Linux accepts no IPv6 route there", path)
    if via is None:
        return route
    if via.version != destination.version:
        raise error(f"{via} and {destination} are of different address families", f"{path}.via")
    if via.version == 6 and any(each.host == str(via) for each in own):
        raise error(f"{via} is an address of {node!r} itself", f"{path}.via")
    networks = {end.name: addressing.of[end] for end in skeleton.ends[node]}
    interface = _interface_toward(via, wanted, networks, before)
    if interface is None:
        raise error(f"{via} is not on a network of {node!r}", f"{path}.via")
    return msgspec.structs.replace(route, interface=interface)


def _interface_toward(
    via: IpAddress,
    wanted: RouteSpec,
    addresses: Mapping[str, tuple[Address, ...]],
    before: Iterable[Route],
) -> str | None:
    """Return the interface on whose link a gateway is, with the kernel's look-up.

    The kernel searches the table of the route unless that is the main one, then the local and the
    main table: fib_check_nh_v4_gw() of net/ipv4/fib_semantics.c, and ip6_route_check_nh() of
    net/ipv6/route.c.

    :param addresses: the addresses of each interface.
    """
    written: dict[int, list[Route]] = {}
    for route in before:
        written.setdefault(route.table, []).append(route)
    main = written.pop(MAIN_TABLE, [])
    replaced = {route.destination for route in main if via.version == 4}
    local = []
    connected = []
    for name, own in addresses.items():
        for each in own:
            local.append(Route(destination=each.host, interface=name))
            if each.network not in replaced:
                connected.append(Route(destination=each.network, interface=name))
    # The first of equal prefixes counts: connected IPv6 routes have a lower metric.
    for routes in (written.get(wanted.table, []), local, [*connected, *main]):
        found = _covering(via, wanted, routes)
        if found is not None and _is_on_link(found):
            return found.interface
    return None


def _covering(via: IpAddress, wanted: RouteSpec, routes: Iterable[Route]) -> Route | None:
    """Return the route to a gateway. For IPv4, routes over other gateways are ignored."""
    covering = [
        (ipaddress.ip_network(route.destination).prefixlen, route)
        for route in routes
        if via in ipaddress.ip_network(route.destination)
        and wanted.interface in (None, route.interface)
        and (via.version == 6 or _is_on_link(route))
    ]
    return max(covering, key=lambda each: each[0])[1] if covering else None


def _is_on_link(route: Route) -> bool:
    return route.via is None and route.kind == "unicast"


def _parse_via(skeleton: Skeleton, wanted: RouteSpec, path: str) -> IpAddress | None:
    if wanted.via is None:
        return None
    try:
        return ipaddress.ip_address(wanted.via)
    except ValueError:
        message = f"{wanted.via!r} is not an address"
        raise skeleton.document.error(message, f"{path}.via") from None
