"""The operations that undo a failed change: from the present state to the former one.

The functions have no side effects. Undoing takes two steps, because the kernel itself adds and
removes routes with addresses and interfaces: first links and addresses, then, after another
observation, everything that depends on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from testbed.sandbox.observation import LinkState, NamespaceState
from testbed.topology import operations as ops

T = TypeVar("T")

PARTS: Final = ("links", "addresses", "routes", "rules", "neighbours", "limits", "endpoints")


def of_interfaces(before: NamespaceState, now: NamespaceState) -> Iterator[ops.AnyOperation]:
    """Yield the operations that restore addresses and the up or down state of interfaces."""
    where = before.name
    states = {link.name: link.up for link in now.links}
    for link in before.links:
        if states.get(link.name, link.up) is not link.up:
            yield ops.SetLink(namespace=where, interface=link.name, up=link.up)
    had = {(each.interface, each.address) for each in before.addresses}
    has = {(each.interface, each.address) for each in now.addresses}
    for name, address in sorted(has - had):
        yield ops.RemoveAddress(namespace=where, interface=name, address=address)
    # In the former order, because the first address of a subnet is the primary one.
    for each in before.addresses:
        if (each.interface, each.address) not in has:
            yield ops.AddAddress(namespace=where, interface=each.interface, address=each.address)


def of_the_rest(before: NamespaceState, now: NamespaceState) -> Iterator[ops.AnyOperation]:
    """Yield the operations that restore neighbours, rules, routes, limits and endpoints."""
    where = before.name
    for neighbour in _only(now.neighbours, before.neighbours):
        yield ops.RemoveNeighbour(namespace=where, neighbour=neighbour)
    for neighbour in _only(before.neighbours, now.neighbours):
        yield ops.AddNeighbour(namespace=where, neighbour=neighbour)
    for rule in _only(now.rules, before.rules):
        yield ops.RemoveRule(namespace=where, rule=rule)
    for rule in _only(before.rules, now.rules):
        yield ops.AddRule(namespace=where, rule=rule)
    for route in _only(now.routes, before.routes):
        yield ops.RemoveRoute(namespace=where, route=route)
    # Routes without a gateway first, because others may need them.
    for route in sorted(_only(before.routes, now.routes), key=lambda it: it.via is not None):
        yield ops.AddRoute(namespace=where, route=route)
    if before.limits is not None and before.limits != now.limits:
        yield ops.SetLimits(namespace=where, limits=before.limits)
    for endpoint in _only(now.endpoints, before.endpoints):
        yield ops.RemoveEndpoint(namespace=where, id=endpoint.id)
    for endpoint in _only(before.endpoints, now.endpoints):
        yield ops.AddEndpoint(namespace=where, endpoint=endpoint)


def left_over(before: NamespaceState, now: NamespaceState) -> list[str]:
    """Return in words the differences that remain; an empty list if there are none."""
    found = []
    for part in PARTS:
        was, is_now = (_comparable(getattr(state, part)) for state in (before, now))
        if was != is_now:
            found.append(f"{part} of {before.name}")
    return found


def _comparable(value: object) -> object:
    if not isinstance(value, tuple):
        return value
    if value and isinstance(value[0], LinkState):
        return {(link.name, link.up) for link in value}
    return set(value)


def _only(some: Iterable[T], others: Iterable[T]) -> list[T]:
    known = set(others)
    return [each for each in some if each not in known]
