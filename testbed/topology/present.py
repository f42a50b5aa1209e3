"""The present state of a network, and the operations that change it. Pure.

The events of an experiment and the commands that change a running sandbox use the same
:class:`Change`. A :class:`Present` holds the effects of earlier changes: the present addresses and
endpoints, and the loss of a link before it became a blackhole.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import Final, Literal, TypeVar

import msgspec

from testbed.errors import InputError
from testbed.topology import changes
from testbed.topology.changes import Operations
from testbed.topology.model import Endpoint, EndpointFlag, Interface, Link, Node, Topology
from testbed.topology.operations import (
    AddEndpoint,
    ChangeEndpoint,
    RemoveEndpoint,
    SetWire,
)
from testbed.topology.spec import EndpointSpec
from testbed.wire.netem import Netem, Value

LinkState = Literal["up", "down", "blackhole"]

_EVERYTHING: Final = "100%"
_SIDES: Final = ("a", "b")

_replace: Final = msgspec.structs.replace
_Named = TypeVar("_Named", Node, Link, Interface)


class Change(msgspec.Struct, frozen=True, kw_only=True, tag_field="change", tag=True):
    """The base of all changes of a running network."""


class SetShaping(Change, frozen=True, kw_only=True):
    """Change some netem options of a link ``toward`` a node, or in both directions."""

    link: str
    options: Mapping[str, Value]
    toward: str | None = None


class SetLinkState(Change, frozen=True, kw_only=True):
    """Take a link down, bring it up, or drop every packet without notice to the hosts."""

    link: str
    state: LinkState


class GiveAddress(Change, frozen=True, kw_only=True):
    """Give an interface an address with prefix length."""

    node: str
    interface: str
    address: str


class TakeAddress(Change, frozen=True, kw_only=True):
    """Remove an address from an interface."""

    node: str
    interface: str
    address: str


class GiveEndpoint(Change, frozen=True, kw_only=True):
    """Add MPTCP endpoints: one for each address of an interface, of the topology's families."""

    node: str
    endpoint: EndpointSpec


class TakeEndpoint(Change, frozen=True, kw_only=True):
    """Remove endpoints: those of an interface, of an address, or with an id."""

    node: str
    which: str


class SetEndpoint(Change, frozen=True, kw_only=True):
    """Change flags of endpoints, selected as in :class:`TakeEndpoint`; None keeps a flag."""

    node: str
    which: str
    backup: bool | None = None
    fullmesh: bool | None = None


AnyChange = (
    SetShaping
    | SetLinkState
    | GiveAddress
    | TakeAddress
    | GiveEndpoint
    | TakeEndpoint
    | SetEndpoint
)


class Present(msgspec.Struct, frozen=True, kw_only=True):
    """The present state of a network, after all changes so far.

    :param built: the topology as it was built. Its routes and rules return with their interfaces
        and addresses.
    :param topology: the same with the present addresses, endpoints and shaping.
    :param down: the links that are down.
    :param swallowed: the links that are blackholes, with the former loss of each direction.
    :param when: the wording for the present time in messages.
    """

    built: Topology
    topology: Topology
    down: frozenset[str] = frozenset()
    swallowed: dict[str, dict[str, str]] = {}
    when: str = "now"

    @classmethod
    def at_first(cls, topology: Topology, *, when: str = "now") -> Present:
        """Return a network without changes."""
        return cls(built=topology, topology=topology, when=when)

    def changed(self, change: AnyChange) -> tuple[Operations, Present]:
        """Return the operations that carry a change out, and the network after it.

        :raises InputError: the change names something that the network lacks, or is impossible.
        """
        return _apply(change, self)

    def states(self) -> dict[str, LinkState]:
        """Return the state of each link that is not up."""
        states: dict[str, LinkState] = dict.fromkeys(self.swallowed, "blackhole")
        return states | dict.fromkeys(sorted(self.down), "down")

    def with_node(self, node: Node) -> Present:
        """Return a copy in which a node replaces the node with the same name."""
        return _replace(self, topology=_with_node(self.topology, node))

    def with_shaping(self, options: Mapping[tuple[str, str], Mapping[str, str]]) -> Present:
        """Return a copy with other shaping; ``options`` maps (link, side) to all options."""
        links = tuple(
            _replace(
                link,
                **{
                    f"toward_{side}": Netem.parse(options[link.name, side])
                    for side in _SIDES
                    if (link.name, side) in options
                },
            )
            for link in self.topology.links
        )
        return _replace(self, topology=_replace(self.topology, links=links))


@singledispatch
def _apply(change: AnyChange, present: Present) -> tuple[Operations, Present]:
    raise NotImplementedError(change)


@_apply.register
def _(change: SetShaping, present: Present) -> tuple[Operations, Present]:
    link = change.link
    if link in present.swallowed and "loss" in change.options:
        raise InputError(
            f"link {link!r} is a blackhole {present.when}", hint="first set its state to up"
        )
    operations = changes.shape(present.built, link, change.toward, change.options)
    return operations, _reshaped(present, operations)


@_apply.register
def _(change: SetLinkState, present: Present) -> tuple[Operations, Present]:
    link, built = change.link, present.built
    if change.state == "blackhole":
        operations = changes.shape(built, link, None, {"loss": _EVERYTHING})
        before = present.swallowed.get(link) or _losses(present.topology.link(link))
        after = _replace(present, swallowed={**present.swallowed, link: before})
        return operations, _reshaped(after, operations)
    if change.state == "down":
        operations = changes.link_down(built, link)
        return operations, _replace(present, down=present.down | {link})
    operations = changes.link_up(built, link, present.topology)
    after = _replace(present, down=present.down - {link})
    if link in present.swallowed:
        losses = present.swallowed[link]
        operations += tuple(
            SetWire(link=link, toward=side, options={"loss": losses[side]}) for side in _SIDES
        )
        rest = {name: each for name, each in present.swallowed.items() if name != link}
        after = _replace(after, swallowed=rest)
    return operations, _reshaped(after, operations)


@_apply.register
def _(change: GiveAddress, present: Present) -> tuple[Operations, Present]:
    address = changes.canonical(change.address)
    here = changes.find_interface(present.topology, change.node, change.interface)[1].addresses
    operations = changes.add_address(present.built, change.node, change.interface, address, here)
    if address in here:
        text = f"{change.interface!r} at {change.node!r} has {address} {present.when}"
        raise InputError(text)
    return operations, _readdressed(present, change.node, change.interface, (*here, address))


@_apply.register
def _(change: TakeAddress, present: Present) -> tuple[Operations, Present]:
    address = changes.canonical(change.address)
    here = changes.find_interface(present.topology, change.node, change.interface)[1].addresses
    operations = changes.remove_address(present.built, change.node, change.interface, address)
    if address not in here:
        message = f"{change.interface!r} at {change.node!r} has no address {address} {present.when}"
        raise InputError(message, hint=f"its addresses: {', '.join(here) or 'none'}")
    left = tuple(each for each in here if each != address)
    return operations, _readdressed(present, change.node, change.interface, left)


@_apply.register
def _(change: GiveEndpoint, present: Present) -> tuple[Operations, Present]:
    node = changes.find_node(present.topology, change.node)
    wrong = change.endpoint.problem
    if wrong:
        raise InputError(wrong)
    added = changes.new_endpoints(present.built, present.topology, change.node, change.endpoint)
    taken = {each.address: each.id for each in node.endpoints}
    for each in added:
        if each.address in taken:
            message = f"{each.address} at {node.name!r} is an endpoint {present.when}"
            raise InputError(message, hint=f"its id is {taken[each.address]}")
        if each.id in taken.values():
            raise InputError(f"an endpoint at {node.name!r} has the id {each.id} {present.when}")
    operations = tuple(AddEndpoint(namespace=node.name, endpoint=each) for each in added)
    return operations, _with_endpoints(present, node, (*node.endpoints, *added))


@_apply.register
def _(change: TakeEndpoint, present: Present) -> tuple[Operations, Present]:
    node = changes.find_node(present.topology, change.node)
    chosen = _chosen(present, node, change.which)
    operations = tuple(RemoveEndpoint(namespace=node.name, id=each.id) for each in chosen)
    left = tuple(each for each in node.endpoints if each not in chosen)
    return operations, _with_endpoints(present, node, left)


@_apply.register
def _(change: SetEndpoint, present: Present) -> tuple[Operations, Present]:
    node = changes.find_node(present.topology, change.node)
    wanted = {EndpointFlag.BACKUP: change.backup, EndpointFlag.FULLMESH: change.fullmesh}
    new = {each.id: _flagged(each, wanted) for each in _chosen(present, node, change.which)}
    operations = tuple(ChangeEndpoint(namespace=node.name, endpoint=it) for it in new.values())
    endpoints = tuple(new.get(each.id, each) for each in node.endpoints)
    return operations, _with_endpoints(present, node, endpoints)


def _chosen(present: Present, node: Node, which: str) -> tuple[Endpoint, ...]:
    """Return the endpoints of an interface, of an address, or with an id."""
    names = [each.name for each in node.interfaces]
    if which in names:
        own = changes.hosts(node.interface(which), present.built.node(node.name).interface(which))
        found = tuple(each for each in node.endpoints if each.address in own)
    else:
        found = tuple(each for each in node.endpoints if which in (each.address, str(each.id)))
        if not found and not which.isdigit() and ":" not in which and "." not in which:
            changes.check_name(names, which, f"an interface of {node.name!r}")
    if not found:
        there = ", ".join(f"{each.id} ({each.address})" for each in node.endpoints) or "none"
        message = f"{which!r} at {node.name!r} has no endpoint {present.when}"
        raise InputError(message, hint=f"endpoints: {there}")
    return found


def _flagged(endpoint: Endpoint, wanted: dict[EndpointFlag, bool | None]) -> Endpoint:
    flags = tuple(
        flag
        for flag in EndpointFlag
        if (flag in endpoint.flags if wanted.get(flag) is None else wanted[flag])
    )
    if EndpointFlag.FULLMESH in flags and EndpointFlag.SIGNAL in flags:
        message = f"endpoint {endpoint.id} is announced: signal and fullmesh exclude each other"
        raise InputError(message, hint="remove it and add it with other flags")
    return _replace(endpoint, flags=flags)


def _losses(link: Link) -> dict[str, str]:
    return {
        side: netem.options().get("loss", "none")
        for side, netem in (("a", link.toward_a), ("b", link.toward_b))
    }


def _reshaped(present: Present, operations: Operations) -> Present:
    topology = present.topology
    for each in operations:
        if isinstance(each, SetWire):
            link = topology.link(each.link)
            name = f"toward_{each.toward}"
            merged = {name: getattr(link, name).merge(each.options)}
            links = tuple(_replace(it, **merged) if it is link else it for it in topology.links)
            topology = _replace(topology, links=links)
    return _replace(present, topology=topology)


def _readdressed(
    present: Present, node: str, interface: str, addresses: tuple[str, ...]
) -> Present:
    owner = present.topology.node(node)
    interfaces = tuple(
        _replace(each, addresses=addresses) if each.name == interface else each
        for each in owner.interfaces
    )
    return present.with_node(_replace(owner, interfaces=interfaces))


def _with_endpoints(present: Present, node: Node, endpoints: tuple[Endpoint, ...]) -> Present:
    return present.with_node(_replace(node, endpoints=endpoints))


def _with_node(topology: Topology, node: Node) -> Topology:
    nodes = tuple(node if each.name == node.name else each for each in topology.nodes)
    return _replace(topology, nodes=nodes)
