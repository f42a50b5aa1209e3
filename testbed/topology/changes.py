"""Changes of a running network, as the operations that make them.

All functions are pure: they know the topology as it was built, not the effects of earlier changes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from testbed.errors import InputError
from testbed.hints import nearest
from testbed.topology.forwarding import family_of, host, unfit
from testbed.topology.model import (
    Endpoint,
    EndpointFlag,
    Family,
    Interface,
    Kind,
    Link,
    Node,
    Route,
    Rule,
    Topology,
    middle,
)
from testbed.topology.operations import (
    WIRE,
    AddAddress,
    AddNeighbour,
    AddRoute,
    AddRule,
    AnyOperation,
    RemoveAddress,
    RemoveRule,
    SetLink,
    SetWire,
)
from testbed.topology.spec import EndpointSpec
from testbed.wire import grammar
from testbed.wire.medium import check_rate
from testbed.wire.netem import Value

Operations = tuple[AnyOperation, ...]
_Named = TypeVar("_Named", Node, Link, Interface)


def link_down(topology: Topology, link: str) -> Operations:
    """Take a link down.

    A wire is cut in the middle: the hosts lose the carrier and keep addresses and routes. A link
    without a wire is set down at both ends. Then the kernel flushes the state that :func:`link_up`
    restores.
    """
    return tuple(_set_links(topology, link, up=False))


def link_up(topology: Topology, link: str, present: Topology | None = None) -> Operations:
    """Bring a link up again, with the addresses, neighbours and routes the kernel had flushed.

    :param present: the topology with the addresses before the link went down; by default as built.
    """
    found = _find_link(topology, link)
    operations = list(_set_links(topology, link, up=True))
    if not found.wire:
        for end in (found.a, found.b):
            owner = topology.node(end.node)
            if owner.kind is not Kind.SWITCH:
                now = (present or topology).node(end.node)
                for each in owner.interfaces:
                    if owner.card(each) == end:  # the end itself, and the VLANs on it
                        operations += _restore(owner, each, now.interface(each.name).addresses)
    return tuple(operations)


def shape(
    topology: Topology, link: str, toward: str | None, options: Mapping[str, Value]
) -> Operations:
    """Change netem options of a link in the direction that leads ``toward`` a node, or in both.

    Raises InputError for an unknown option, and for a link without a wire.
    """
    found = _find_link(topology, link)
    if not found.wire:
        hint = f"add 'netem: {{}}' to link {link!r} in the topology"
        raise InputError(f"link {link!r} has no wire to shape", hint=hint)
    if toward is not None:
        check_name([found.a.node, found.b.node], toward, f"an end of link {link!r}")
    if "middlebox" in options:
        raise InputError(
            f"the middleboxes of link {link!r} cannot be changed: they keep state",
            hint="change the topology file and build the network again",
        )
    checked: dict[str, str] = {}
    for name, value in options.items():
        option = grammar.option_name(name)
        parsed = grammar.parse_option(option, value)
        if option == "rate" and found.half_duplex:
            check_rate(parsed)
        checked[option] = grammar.text_of(option, value)
    sides = (("a", found.a.node), ("b", found.b.node))
    return tuple(
        SetWire(link=link, toward=side, options=checked)
        for side, node in sides
        if toward in (None, node)
    )


def add_address(
    topology: Topology,
    node: str,
    interface: str,
    address: str,
    present: Collection[str] | None = None,
) -> Operations:
    """Give an interface an earlier or a new address (with prefix length).

    If the node routes by source, a new address gets a rule for the interface's table. If it is the
    only address of its family, it also gets the routes of the removed addresses, because with the
    last address of a family the kernel flushes the family's routes on the interface.

    :param present: the present addresses of the interface; by default those of the topology.
    """
    owner, found = find_interface(topology, node, interface)
    value = canonical(address)
    if reason := unfit(ipaddress.ip_interface(value)):
        raise InputError(f"{value} {reason}")
    here = found.addresses if present is None else present
    add = AddAddress(namespace=node, interface=interface, address=value)
    if value in found.addresses:
        family = family_of(value)
        only = [a for a in found.addresses if family_of(a) is family] == [value]
        # With the last IPv4 address the kernel flushes the family's routes on the interface.
        flushed = only and family is Family.IPV4
        rest = _routes_and_neighbours(owner, found, {family}) if flushed else ()
        return (add, *rest)
    alone = all(family_of(each) is not family_of(value) for each in here)
    return (
        add,
        *_rule_for(owner, found, value, AddRule),
        *(_inherited(owner, found, value) if alone else _route_for(owner, found, value)),
    )


def remove_address(topology: Topology, node: str, interface: str, address: str) -> Operations:
    """Remove an address (with prefix length) from an interface.

    The rule of an address of the topology stays. The rule of another address is removed with it.
    """
    owner, found = find_interface(topology, node, interface)
    value = canonical(address)
    remove = RemoveAddress(namespace=node, interface=interface, address=value)
    own = value in found.addresses
    return (remove, *(() if own else _rule_for(owner, found, value, RemoveRule)))


def new_endpoints(
    topology: Topology, present: Topology, node: str, wanted: EndpointSpec
) -> tuple[Endpoint, ...]:
    """Return an endpoint for each address of an interface, of the topology's endpoint families.

    Addresses that are endpoints already are left out, unless all are. For an address, the result is
    one endpoint, even if the node lacks the address.

    :param present: the topology with the present addresses and endpoints.
    """
    owner = find_node(present, node)
    flags = tuple(map(EndpointFlag, wanted.flags))
    device = ""
    if wanted.interface is not None:
        _, found = find_interface(present, node, wanted.interface)
        device = "" if owner.rules else found.name
    if wanted.address is not None:
        addresses = [wanted.address]
    else:
        _, found = find_interface(present, node, wanted.interface or "")
        families = _families(topology, found)
        every = [host(each) for each in found.addresses if family_of(each) in families]
        taken = {each.address for each in owner.endpoints}
        addresses = [each for each in every if each not in taken] or every
        if not addresses:
            raise InputError(f"interface {wanted.interface!r} at {node!r} has no address")
    ids = _endpoint_ids(topology.node(node), owner, addresses)
    return tuple(
        Endpoint(
            address=each,
            id=wanted.id if wanted.id is not None and not index else ids[each],
            interface=device,
            flags=flags,
            port=wanted.port,
        )
        for index, each in enumerate(addresses)
    )


def _set_links(topology: Topology, name: str, *, up: bool) -> Iterator[AnyOperation]:
    link = _find_link(topology, name)
    index = topology.links.index(link)
    for side, end in (("a", link.a), ("b", link.b)):
        if link.wire:
            yield SetLink(namespace=WIRE, interface=middle(index, side), up=up)
        else:
            switch = topology.node(end.node).kind is Kind.SWITCH
            namespace = WIRE if switch else end.node
            yield SetLink(namespace=namespace, interface=end.name, up=up)


def _restore(
    node: Node, interface: Interface, addresses: Collection[str]
) -> Iterator[AnyOperation]:
    """Yield the operations that restore the state that an interface lost while it was down.

    Its IPv4 addresses stay.

    :param addresses: the addresses it had.
    """
    for each in addresses:
        if family_of(each) is Family.IPV6:
            yield AddAddress(namespace=node.name, interface=interface.name, address=each)
    done = {family_of(each) for each in addresses if each in interface.addresses}
    yield from _routes_and_neighbours(node, interface, done)
    for each in addresses:
        if each not in interface.addresses:
            moved = _route_for if family_of(each) in done else _inherited
            done.add(family_of(each))
            yield from moved(node, interface, each)


def _routes_and_neighbours(
    node: Node, interface: Interface, families: set[Family]
) -> Iterator[AddRoute | AddNeighbour]:
    for neighbour in node.neighbours:
        if neighbour.interface == interface.name and family_of(neighbour.address) in families:
            yield AddNeighbour(namespace=node.name, neighbour=neighbour)
    for route in node.routes:
        if interface.name in _ways_out(route) and family_of(route.destination) in families:
            yield AddRoute(namespace=node.name, route=route)


def _ways_out(route: Route) -> tuple[str | None, ...]:
    """Return the interfaces that a route uses."""
    return (route.interface, *(each.interface for each in route.nexthops))


def _rule_for(
    node: Node, interface: Interface, address: str, kind: type[AddRule] | type[RemoveRule]
) -> Iterator[AddRule | RemoveRule]:
    table = _source_table(node, interface)
    if table is not None:
        value = ipaddress.ip_interface(address)
        priority = max(rule.priority for rule in node.rules) + 1
        source = f"{value.ip}/{value.max_prefixlen}"
        rule = Rule(source=source, table=table, priority=priority)
        yield kind(namespace=node.name, rule=rule)


def _route_for(node: Node, interface: Interface, address: str) -> Iterator[AddRoute]:
    table = _source_table(node, interface)
    value = ipaddress.ip_interface(address)
    network = str(value.network)
    known = any((r.table, r.destination) == (table, network) for r in node.routes)
    if table is not None and not known:
        route = Route(
            destination=network, interface=interface.name, source=str(value.ip), table=table
        )
        yield AddRoute(namespace=node.name, route=route)


def _inherited(node: Node, interface: Interface, address: str) -> Iterator[AddRoute | AddNeighbour]:
    """Yield the routes of an interface, changed for an address that replaces others.

    Routes over gateways outside of its network are left out, because they are not reachable.
    """
    value = ipaddress.ip_interface(address)
    family = family_of(address)
    own = {str(ipaddress.ip_interface(a).network) for a in interface.addresses}
    for neighbour in node.neighbours:
        if neighbour.interface == interface.name and family_of(neighbour.address) is family:
            yield AddNeighbour(namespace=node.name, neighbour=neighbour)
    for route in node.routes:
        if route.interface != interface.name or family_of(route.destination) is not family:
            continue
        if route.via is not None and ipaddress.ip_address(route.via) not in value.network:
            continue
        moved = route.destination in own and route.via is None
        inherited = msgspec.structs.replace(
            route,
            destination=str(value.network) if moved else route.destination,
            source=str(value.ip) if route.source is not None else None,
        )
        yield AddRoute(namespace=node.name, route=inherited)


def _source_table(node: Node, interface: Interface) -> int | None:
    """Return the routing table for the interface's addresses as sources, or None without one."""
    own = {host(a) for a in interface.addresses}
    return next((r.table for r in node.rules if r.source.partition("/")[0] in own), None)


def _endpoint_ids(built: Node, present: Node, further: Collection[str]) -> dict[str, int]:
    """Return the id of the endpoint that each address has or would get.

    An address that had an endpoint when the network was built gets the same id again.

    :param further: further addresses, which the node may lack.
    """
    ids = {endpoint.address: endpoint.id for endpoint in (*built.endpoints, *present.endpoints)}
    used = set(ids.values())
    free = (number for number in range(1, 256) if number not in used)
    own = (each.addresses for each in (*built.interfaces, *present.interfaces))
    for address in (*(host(each) for addresses in own for each in addresses), *further):
        if address not in ids:
            ids[address] = next(free)
    return ids


def _families(topology: Topology, interface: Interface) -> set[Family]:
    made = {family_of(e.address) for node in topology.nodes for e in node.endpoints}
    if made:
        return made
    own = {family_of(address) for address in interface.addresses}
    return {Family.IPV4} if Family.IPV4 in own else own


def canonical(text: str) -> str:
    """Return an address with prefix length as the kernel writes it.  Raises InputError."""
    try:
        value = ipaddress.ip_interface(text)
    except ValueError:
        value = None
    if value is None or "/" not in text:
        raise InputError(f"{text!r} is not an address with a prefix length")
    return str(value)


def hosts(*interfaces: Interface) -> set[str]:
    """Return the addresses of interfaces, without prefix lengths."""
    return {host(each) for interface in interfaces for each in interface.addresses}


def find_node(topology: Topology, name: str) -> Node:
    """Return a node by its name.  Raises InputError."""
    return _find(topology.nodes, name, "a node")


def find_interface(topology: Topology, node: str, name: str) -> tuple[Node, Interface]:
    """Return an interface and its node by their names.  Raises InputError."""
    owner = find_node(topology, node)
    return owner, _find(owner.interfaces, name, f"an interface of {node!r}")


def _find_link(topology: Topology, name: str) -> Link:
    uppers = (it for node in topology.nodes for it in node.interfaces if it.device is not None)
    upper = next((it for it in uppers if it.link == name), None)
    if upper is not None:
        card = topology.node(upper.node).card(upper)
        kind = "tunnel" if card is None else "VLAN"
        hint = "change the links that carry it" if card is None else f"change link {card.link!r}"
        raise InputError(f"{name!r} is a {kind}, which has no wire of its own", hint=hint)
    return _find(topology.links, name, "a link")


def check_name(names: Sequence[str], name: str, what: str) -> None:
    """Raise InputError, with the nearest name, for a name that is not among others."""
    if name not in names:
        raise InputError(f"{name!r} is not {what}", hint=nearest(name, names))


def _find(among: tuple[_Named, ...], name: str, what: str) -> _Named:
    check_name([each.name for each in among], name, what)
    return next(each for each in among if each.name == name)
