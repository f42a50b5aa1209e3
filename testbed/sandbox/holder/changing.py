"""Changes of a running network, planned from its present state and all carried out or none.

The holder carries out one request after the other. So no client observes, or plans from, an
incomplete change of another client.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from testbed.errors import SandboxError, TestbedError
from testbed.sandbox import model, undo, verify
from testbed.sandbox.holder.network import Network
from testbed.sandbox.observation import NamespaceState
from testbed.topology import operations as ops
from testbed.topology.model import Interface, Kind, Node, Topology
from testbed.topology.present import AnyChange, Present, SetLinkState, SetShaping

_replace: Final = msgspec.structs.replace


def change(network: Network, changes: Sequence[AnyChange], *, dry_run: bool) -> model.Changed:
    """Carry out changes in order, and verify them.

    :param dry_run: whether to only report the operations and not carry them out.
    :raises InputError: a change names something that the network does not have.
    :raises OperationError: the kernel refused an operation, or its state differs from the wanted
        one. The network is as it was before.
    """
    started = time.monotonic()
    if network.present is None:
        raise SandboxError("this sandbox was not built from a topology")
    before = network.configuration(_nodes(changes, network.present.built))
    present = _as_it_is(network, network.present, before)
    operations: list[ops.AnyOperation] = []
    for each in changes:
        more, present = present.changed(each)
        operations += more
    commands = network.commands(operations)
    if not dry_run:
        _carry_out(network, operations, before)
        network.become(present)
    return model.Changed(
        operations=tuple(operations),
        commands=commands,
        seconds=time.monotonic() - started,
    )


def note(network: Network, change: AnyChange) -> None:
    """Record a change whose operations were planned elsewhere and have been carried out.

    :raises SandboxError: no plan has built the network.
    :raises InputError: the change names something that the network does not have.
    """
    if network.present is None:
        raise SandboxError("this sandbox was not built from a topology")
    _, present = network.present.changed(change)
    network.become(present)


def _carry_out(
    network: Network, operations: Sequence[ops.AnyOperation], before: dict[str, NamespaceState]
) -> None:
    names = {name for each in operations for name in verify.namespaces(each)}
    before = before | network.configuration(names - before.keys())
    wires = network.shapings()
    try:
        network.execute(operations, topology=None, verify=True)
    except TestbedError as error:
        left = _undo(network, before, wires)
        if left:
            raise SandboxError(f"{error}; not restored: {', '.join(left)}") from error
        raise


def _undo(
    network: Network, before: dict[str, NamespaceState], wires: tuple[ops.SetWire, ...]
) -> list[str]:
    """Restore the former state; return in words the differences that remain."""
    try:
        network.execute(wires, topology=None, verify=True)
        for step in (undo.of_interfaces, undo.of_the_rest):
            now = network.configuration(before)
            steps = [it for name, state in before.items() for it in step(state, now[name])]
            network.execute(steps, topology=None, verify=True)
    except TestbedError as error:
        return [str(error)]
    now = network.configuration(before)
    return [it for name, state in before.items() for it in undo.left_over(state, now[name])]


def _nodes(changes: Iterable[AnyChange], built: Topology) -> list[str]:
    """Return the nodes that changes concern. Unknown names are reported later."""
    ends = {link.name: (link.a.node, link.b.node) for link in built.links}
    names: dict[str, None] = {}
    for each in changes:
        if isinstance(each, SetLinkState | SetShaping):
            names |= dict.fromkeys(ends.get(each.link, ()))
        else:
            names[each.node] = None
    return [node.name for node in built.nodes if node.name in names and node.kind != Kind.SWITCH]


def _as_it_is(network: Network, present: Present, states: dict[str, NamespaceState]) -> Present:
    """Return the present network including changes by other means, such as ``ip`` in a shell."""
    for name, state in states.items():
        present = present.with_node(_observed(present.topology.node(name), state))
    shapings = {(each.link, each.toward): each.options for each in network.shapings()}
    return present.with_shaping(shapings)


def _observed(node: Node, state: NamespaceState) -> Node:
    return _replace(
        node,
        interfaces=tuple(_readdressed(each, state) for each in node.interfaces),
        endpoints=state.endpoints,
    )


def _readdressed(interface: Interface, state: NamespaceState) -> Interface:
    """Return an interface with its observed addresses.

    An interface that is down keeps the recorded addresses, because it loses those of IPv6.
    """
    link = state.link(interface.name)
    if link is None or not link.up:
        return interface
    found = tuple(
        each.address
        for each in state.addresses
        if each.interface == interface.name
        and not ipaddress.ip_interface(each.address).is_link_local
    )
    return _replace(interface, addresses=found)
