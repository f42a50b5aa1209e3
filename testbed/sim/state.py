"""The state of a network: the initial topology and later operations. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import msgspec

from testbed.errors import SimulationError
from testbed.topology.forwarding import host
from testbed.topology.model import Endpoint, Kind, Node, Route, Topology, middle
from testbed.topology.operations import (
    WIRE,
    AddAddress,
    AddEndpoint,
    AddNeighbour,
    AddRoute,
    AddRule,
    AnyOperation,
    ChangeEndpoint,
    RemoveAddress,
    RemoveEndpoint,
    RemoveNeighbour,
    RemoveRoute,
    RemoveRule,
    SetLink,
)

T = TypeVar("T")
Place = tuple[str, str]  # an interface: namespace and name

_replace: Final = msgspec.structs.replace


class NetworkState:
    """The present topology, and the interfaces that are down.

    An interface that is down has no addresses and no routes. One without a carrier keeps them, and
    its packets are lost.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._down: set[Place] = set()
        self._ends = dict(_ends(topology))

    def apply(self, operation: AnyOperation) -> None:
        """Change a node or an interface.

        :raises SimulationError: the operation cannot be applied to a running network.
        """
        if isinstance(operation, SetLink):
            place = operation.namespace, operation.interface
            (self._down.discard if operation.up else self._down.add)(place)
            return
        namespace = getattr(operation, "namespace", None)
        self._topology = _replace(
            self._topology,
            nodes=tuple(
                _changed(node, operation) if node.name == namespace else node
                for node in self._topology.nodes
            ),
        )

    def has_carrier(self, link: str) -> bool:
        """Whether a link is up from end to end."""
        return self._down.isdisjoint(self._ends[link])

    def topology(self) -> Topology:
        """Return the topology for routing."""
        if not self._down:
            return self._topology
        return _replace(self._topology, nodes=tuple(map(self._routable, self._topology.nodes)))

    def addresses(self, node: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return a node's addresses in the order of its interfaces, and those without a carrier.

        An interface that is down keeps its IPv4 addresses, as in Linux.
        """
        there, silent = [], []
        for interface in self._topology.node(node).interfaces:
            down = (node, interface.name) in self._down
            for address in map(host, interface.addresses):
                if not down or ":" not in address:
                    there.append(address)
                    if not self.has_carrier(interface.link):
                        silent.append(address)
        return tuple(there), tuple(silent)

    def _routable(self, node: Node) -> Node:
        down = {name for namespace, name in self._down if namespace == node.name}
        return _replace(
            node,
            interfaces=tuple(
                _replace(each, addresses=()) if each.name in down else each
                for each in node.interfaces
            ),
            routes=tuple(route for route in node.routes if route.interface not in down),
        )


def _ends(topology: Topology) -> Iterator[tuple[str, tuple[Place, ...]]]:
    """Yield for each link all interfaces that must be up, including those inside its wire."""
    switches = {node.name for node in topology.nodes if node.kind is Kind.SWITCH}
    for index, link in enumerate(topology.links):
        outer = [(WIRE if e.node in switches else e.node, e.name) for e in (link.a, link.b)]
        inner = [(WIRE, middle(index, side)) for side in "ab"] if link.wire else []
        yield link.name, (*outer, *inner)


def _changed(node: Node, operation: AnyOperation) -> Node:
    match operation:
        case AddAddress(interface=name, address=address):
            return _interface(node, name, lambda has: _with(has, address))
        case RemoveAddress(interface=name, address=address):
            return _interface(node, name, lambda has: _without(has, address))
        case AddRule(rule=rule):
            return _replace(node, rules=_with(node.rules, rule))
        case RemoveRule(rule=rule):
            return _replace(node, rules=_without(node.rules, rule))
        case AddRoute(route=route):
            return _replace(node, routes=_with_route(node.routes, route))
        case RemoveRoute(route=route):
            return _replace(node, routes=_without(node.routes, route))
        case AddEndpoint() | ChangeEndpoint() | RemoveEndpoint():
            return _replace(node, endpoints=_endpoints(node.endpoints, operation))
        case AddNeighbour() | RemoveNeighbour():  # neighbours are known without asking
            return node
        case _:
            raise SimulationError(f"cannot be simulated: {operation}")


def _endpoints(
    have: tuple[Endpoint, ...], operation: AddEndpoint | ChangeEndpoint | RemoveEndpoint
) -> tuple[Endpoint, ...]:
    match operation:
        case AddEndpoint(endpoint=endpoint):
            return _with(have, endpoint)
        case ChangeEndpoint(endpoint=changed):
            return tuple(changed if one.id == changed.id else one for one in have)
        case RemoveEndpoint(id=number):
            return tuple(each for each in have if each.id != number)


def _with(have: tuple[T, ...], value: T) -> tuple[T, ...]:
    return have if value in have else (*have, value)


def _without(have: tuple[T, ...], value: T) -> tuple[T, ...]:
    return tuple(each for each in have if each != value)


def _interface(node: Node, name: str, change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> Node:
    return _replace(
        node,
        interfaces=tuple(
            _replace(each, addresses=change(each.addresses)) if each.name == name else each
            for each in node.interfaces
        ),
    )


def _with_route(routes: tuple[Route, ...], route: Route) -> tuple[Route, ...]:
    """Do what ``ip route replace`` does."""
    others = (r for r in routes if (r.table, r.destination) != (route.table, route.destination))
    return (*others, route)
