"""The expected results of operations, as facts to compare. The functions have no side effects.

A *fact* is a key and a value: ``("route", "10.0.0.0/24", 254)`` -> a :class:`Route`. An operation
has facts that it expects to be present or absent. The observed state of a namespace contains facts,
too. One rule then compares both for every kind of fact.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import singledispatch
from typing import Final, TypeAlias

import msgspec

from testbed.errors import OperationError
from testbed.sandbox.observation import Address, NamespaceState
from testbed.topology import operations as ops
from testbed.topology.devices import WireGuard, kind_of
from testbed.topology.model import EndpointFlag

Key: TypeAlias = tuple[object, ...]  # the first element is the part of the state
Facts: TypeAlias = Mapping[Key, Set[object]]

_replace: Final = msgspec.structs.replace


class Expectation(msgspec.Struct, frozen=True):
    """A fact that an operation expects: ``value`` for the key, or no value if it is None."""

    operation: ops.Operation
    value: object


def expectations(
    operations: Sequence[ops.AnyOperation],
) -> dict[str, dict[Key, Expectation]]:
    """Return namespace -> key -> the expectation of the last operation on that key."""
    found: dict[str, dict[Key, Expectation]] = {}
    for operation in operations:
        for namespace, key, value in _wanted(operation):
            found.setdefault(namespace, {})[key] = Expectation(operation, value)
    return found


def namespaces(operation: ops.AnyOperation) -> Iterable[str]:
    """Return the namespaces that an operation changes."""
    match operation:
        case ops.AddVeth(a=a, b=b):
            return (a.namespace, b.namespace)
        case ops.AddWire() | ops.SetWire() | ops.BeginTraces():
            return (ops.WIRE,)
        case _:
            return (operation.namespace,)


def compare(wanted: Mapping[Key, Expectation], facts: Facts) -> None:
    """Compare the facts; raise :class:`OperationError` for the first unmet expectation."""
    for key, expectation in wanted.items():
        seen = facts.get(key, frozenset())
        if not _met(expectation, seen):
            raise OperationError(
                str(expectation.operation),
                wanted=_words(key, expectation.value),
                seen=", ".join(sorted(_words(key, each) for each in seen)) or "none",
            )


def settled(wanted: Mapping[Key, Expectation], facts: Facts) -> bool:
    """Return whether all carriers are as expected; the kernel switches them with a delay.

    The carrier of an interface that does not exist is ignored.
    """
    return all(
        _met(expectation, facts[key])
        for key, expectation in wanted.items()
        if key[-1] == "carrier" and key in facts
    )


def _met(expectation: Expectation, seen: Set[object]) -> bool:
    return not seen if expectation.value is None else expectation.value in seen


def facts(state: NamespaceState) -> Facts:
    """Return the observed state of a namespace as facts."""
    found: dict[Key, set[object]] = {}
    for key, value in _shown(state):
        if value is not None:
            found.setdefault(key, set()).add(value)
    return found


def _words(key: Key, value: object) -> str:
    """Return a fact in words."""
    if value is None:
        return "none"
    if isinstance(value, msgspec.Struct):
        fields = ((name, getattr(value, name)) for name in value.__struct_fields__)
        return " ".join(f"{name} {each}" for name, each in fields if each not in (None, ()))
    return f"{key[-1]} = {value}"


def _shown(state: NamespaceState) -> Iterator[tuple[Key, object]]:
    for link in state.links:
        for field in ("kind", "up", "carrier", "mtu", "mac", "master", "offload", "device"):
            yield ("links", link.name, field), getattr(link, field)
    for address in state.addresses:
        yield ("addresses", address.interface, address.address), address
    for route in state.routes:
        yield ("routes", route.destination, route.table), route
        if route.via is not None:  # the kernel chose the interface
            yield (
                ("routes", route.destination, route.table),
                _replace(route, interface=None),
            )
    for rule in state.rules:
        yield ("rules", rule.source, rule.priority), rule
    yield from ((("wireguard", name), peered) for name, peered in state.wireguard.items())
    for neighbour in state.neighbours:
        yield ("neighbours", neighbour.interface, neighbour.address), neighbour
    for endpoint in state.endpoints:
        yield ("endpoints", endpoint.id), endpoint
    yield ("limits",), state.limits
    yield from ((("sysctls", key), text) for key, text in state.sysctls.items())


Wanted: TypeAlias = Iterator[tuple[str, Key, object]]


@singledispatch
def _wanted(operation: ops.AnyOperation) -> Wanted:
    """Yield (namespace, key, value) of every fact that an operation expects."""
    raise NotImplementedError(operation)


@_wanted.register
def _(operation: ops.AddNamespace) -> Wanted:
    yield operation.namespace, ("links", "lo", "up"), True


@_wanted.register
def _(operation: ops.AddBridge) -> Wanted:
    for field, value in (("kind", "bridge"), ("up", True)):
        yield operation.namespace, ("links", operation.interface, field), value


@_wanted.register
def _(operation: ops.AddVeth) -> Wanted:
    for end in (operation.a, operation.b):
        fields: dict[str, object] = {
            "kind": "veth",
            "up": True,
            "carrier": True,
            "mtu": end.mtu,
            "mac": end.mac.lower(),
            "master": end.bridge,
            "offload": end.offload,
        }
        for field, value in fields.items():
            yield end.namespace, ("links", end.interface, field), value


@_wanted.register
def _(operation: ops.AddDevice) -> Wanted:
    fields: dict[str, object] = {"kind": kind_of(operation.device), "up": True}
    if operation.mac:
        fields["mac"] = operation.mac.lower()
    if operation.mtu:
        fields["mtu"] = operation.mtu
    if not isinstance(operation.device, WireGuard):  # another operation sets its keys and peer
        fields["device"] = operation.device
    for field, value in fields.items():
        yield operation.namespace, ("links", operation.interface, field), value


@_wanted.register
def _(operation: ops.SetWireGuard) -> Wanted:
    yield operation.namespace, ("wireguard", operation.interface), operation.peered


@_wanted.register
def _(operation: ops.SetMaster) -> Wanted:
    yield operation.namespace, ("links", operation.interface, "master"), operation.master


@_wanted.register
def _(operation: ops.SetLink) -> Wanted:
    yield operation.namespace, ("links", operation.interface, "up"), operation.up
    if not operation.up:
        yield operation.namespace, ("links", operation.interface, "carrier"), False


@_wanted.register
def _(operation: ops.SetSysctl) -> Wanted:
    value = " ".join(operation.value.split())
    yield operation.namespace, ("sysctls", operation.key), value


@_wanted.register
def _(operation: ops.AddAddress) -> Wanted:
    address = str(ipaddress.ip_interface(operation.address))
    wanted = Address(interface=operation.interface, address=address)
    yield operation.namespace, ("addresses", operation.interface, address), wanted


@_wanted.register
def _(operation: ops.RemoveAddress) -> Wanted:
    address = str(ipaddress.ip_interface(operation.address))
    yield operation.namespace, ("addresses", operation.interface, address), None


@_wanted.register
def _(operation: ops.AddNeighbour) -> Wanted:
    it = operation.neighbour
    address = str(ipaddress.ip_address(it.address))
    wanted = _replace(it, address=address, mac=it.mac.lower())
    yield operation.namespace, ("neighbours", it.interface, address), wanted


@_wanted.register
def _(operation: ops.RemoveNeighbour) -> Wanted:
    it = operation.neighbour
    key = ("neighbours", it.interface, str(ipaddress.ip_address(it.address)))
    yield operation.namespace, key, None


@_wanted.register
def _(operation: ops.AddRule) -> Wanted:
    rule = _replace(operation.rule, source=_network(operation.rule.source))
    yield operation.namespace, ("rules", rule.source, rule.priority), rule


@_wanted.register
def _(operation: ops.RemoveRule) -> Wanted:
    rule = operation.rule
    yield operation.namespace, ("rules", _network(rule.source), rule.priority), None


@_wanted.register
def _(operation: ops.AddRoute) -> Wanted:
    it = operation.route
    route = _replace(
        it,
        destination=_network(it.destination),
        via=_canonical(it.via),
        source=_canonical(it.source),
    )
    yield operation.namespace, ("routes", route.destination, route.table), route


@_wanted.register
def _(operation: ops.RemoveRoute) -> Wanted:
    key = ("routes", _network(operation.route.destination), operation.route.table)
    yield operation.namespace, key, None


@_wanted.register
def _(operation: ops.SetLimits) -> Wanted:
    yield operation.namespace, ("limits",), operation.limits


@_wanted.register(ops.AddEndpoint)
@_wanted.register(ops.ChangeEndpoint)
def _(operation: ops.AddEndpoint | ops.ChangeEndpoint) -> Wanted:
    it = operation.endpoint
    wanted = _replace(
        it,
        address=str(ipaddress.ip_address(it.address)),
        flags=tuple(flag for flag in EndpointFlag if flag in it.flags),
    )
    yield operation.namespace, ("endpoints", it.id), wanted


@_wanted.register
def _(operation: ops.RemoveEndpoint) -> Wanted:
    yield operation.namespace, ("endpoints", operation.id), None


@_wanted.register(ops.AddWire)
@_wanted.register(ops.SetWire)
@_wanted.register(ops.BeginTraces)
def _(_operation: ops.AddWire | ops.SetWire | ops.BeginTraces) -> Wanted:
    """Yield nothing, because the engine of a wire verifies it."""
    yield from ()


def _network(prefix: str) -> str:
    return str(ipaddress.ip_network(prefix))


def _canonical(address: str | None) -> str | None:
    return None if address is None else str(ipaddress.ip_address(address))
