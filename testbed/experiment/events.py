"""From the events of a file to a time line of operations.  Pure."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Final

import msgspec

from testbed.document import Document, join_path
from testbed.errors import InputError, all_of
from testbed.experiment.spec import EventSpec, ExperimentSpec, InterfaceAddress
from testbed.topology import changes
from testbed.topology.forwarding import host
from testbed.topology.model import Link, Topology
from testbed.topology.operations import AnyOperation, SetWire
from testbed.wire import grammar

_EVERYTHING: Final = "100%"


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """What is done at one moment: operations, or a program ``argv`` on ``node``.

    :param at_ns: from the start of the workload.
    :param text: what it is, for people.
    """

    at_ns: int
    text: str
    operations: tuple[AnyOperation, ...] = ()
    node: str | None = None
    argv: tuple[str, ...] = ()


def timeline(document: Document[ExperimentSpec], topology: Topology) -> tuple[Action, ...]:
    """Return the actions in the order of their times.

    :raises InputError: an event names what the topology does not have, at its file and line.
    """
    network = _Network(topology)

    def action(index: int, event: EventSpec) -> Action:
        with document.placing(join_path("events", index)):
            return network.action(event)

    events = sorted(enumerate(document.value.events), key=lambda pair: pair[1].at_ns)
    return tuple(all_of(*(functools.partial(action, *pair) for pair in events)))


class _Network:
    """Knows what the network is at the moment: the loss of links, the addresses of interfaces.

    The end of a blackhole restores the loss that a link had before.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology  # as it was built
        self._addresses = {
            (node.name, interface.name): interface.addresses
            for node in topology.nodes
            for interface in node.interfaces
        }
        self._endpoints = set(_endpoints(topology))
        self._blackholes: set[str] = set()
        self._loss = {
            (link.name, side): netem.options().get("loss", "none")
            for link in topology.links
            for side, netem in (("a", link.toward_a), ("b", link.toward_b))
        }

    def action(self, event: EventSpec) -> Action:
        if event.link is not None:
            operations = self._of_link(event, event.link)
            what = event.state or _shaping(event)
            toward = f" toward {event.toward}" if event.toward else ""
            text = f"link {event.link}{toward}: {what}"
            return Action(at_ns=event.at_ns, text=text, operations=operations)
        node = event.node or ""
        if event.run is not None:
            self._topology_has(node)
            text = f"node {node}: run {' '.join(event.run)}"
            return Action(at_ns=event.at_ns, text=text, node=node, argv=event.run)
        text, operations = self._of_node(event, node)
        return Action(at_ns=event.at_ns, text=f"node {node}: {text}", operations=operations)

    def _of_link(self, event: EventSpec, link: str) -> tuple[AnyOperation, ...]:
        if event.set is not None:
            if link in self._blackholes and "loss" in event.set:
                raise InputError(
                    f"link {link!r} is a blackhole at that time", hint="first set its state to up"
                )
            operations = changes.shape(self._topology, link, event.toward, event.set)
            for operation in operations:
                if isinstance(operation, SetWire) and "loss" in operation.options:
                    self._loss[link, operation.toward] = operation.options["loss"]
            return operations
        if event.state == "blackhole":
            self._blackholes.add(link)
            return changes.shape(self._topology, link, None, {"loss": _EVERYTHING})
        if event.state == "down":
            return changes.link_down(self._topology, link)
        operations = changes.link_up(self._topology, link)
        if link in self._blackholes:
            self._blackholes.discard(link)
            operations += self._restored(self._topology.link(link))
        return operations

    def _restored(self, link: Link) -> tuple[AnyOperation, ...]:
        return tuple(
            SetWire(link=link.name, toward=side, options={"loss": self._loss[link.name, side]})
            for side in ("a", "b")
        )

    def _of_node(self, event: EventSpec, node: str) -> tuple[str, tuple[AnyOperation, ...]]:
        """Carry out whichever of the changes of a node the event holds."""
        if added := event.add_address:
            here = self._addresses.get((node, added.interface), ())
            operations = changes.add_address(
                self._topology, node, added.interface, added.address, here
            )
            self._add(node, added)
            return f"add address {added.address} to {added.interface}", operations
        if removed := event.remove_address:
            operations = changes.remove_address(
                self._topology, node, removed.interface, removed.address
            )
            self._remove(node, removed)
            return f"remove address {removed.address} from {removed.interface}", operations
        if endpoint := event.add_endpoint:
            flags = " ".join(endpoint.flags)
            operations = changes.add_endpoint(self._now(), node, endpoint)
            self._endpoints.add((node, endpoint.interface))
            return f"add endpoint {endpoint.interface} {flags}", operations
        if priority := event.set_backup:
            interface, backup = priority.interface, priority.backup
            operations = changes.set_backup(self._now(), node, interface, backup=backup)
            self._has_endpoint(node, interface)
            return f"{'' if backup else 'no '}backup {interface}", operations
        assert event.remove_endpoint  # noqa: S101 - EventSpec has exactly one action
        interface = event.remove_endpoint.interface
        operations = changes.remove_endpoint(self._now(), node, interface)
        self._has_endpoint(node, interface)
        self._endpoints.discard((node, interface))
        return f"remove endpoint {interface}", operations

    def _has_endpoint(self, node: str, interface: str) -> None:
        if (node, interface) not in self._endpoints:
            raise InputError(f"{interface!r} at {node!r} has no endpoint at that time")

    def _add(self, node: str, added: InterfaceAddress) -> None:
        here = self._addresses[node, added.interface]
        if added.address in here:
            raise InputError(f"{added.interface!r} at {node!r} has {added.address} at that time")
        self._addresses[node, added.interface] = (*here, added.address)

    def _remove(self, node: str, removed: InterfaceAddress) -> None:
        here = self._addresses[node, removed.interface]
        if removed.address not in here:
            has = ", ".join(here) or "none"
            raise InputError(
                f"{removed.interface!r} at {node!r} has no address {removed.address} at that time",
                hint=f"it has: {has}",
            )
        self._addresses[node, removed.interface] = tuple(
            address for address in here if address != removed.address
        )

    def _now(self) -> Topology:
        """Return the topology with the addresses that interfaces have at that time."""
        return msgspec.structs.replace(
            self._topology,
            nodes=tuple(
                msgspec.structs.replace(
                    node,
                    interfaces=tuple(
                        msgspec.structs.replace(
                            interface, addresses=self._addresses[node.name, interface.name]
                        )
                        for interface in node.interfaces
                    ),
                )
                for node in self._topology.nodes
            ),
        )

    def _topology_has(self, node: str) -> None:
        names = [each.name for each in self._topology.nodes]
        if node not in names:
            raise InputError(f"{node!r} is no node", hint=f"there are: {', '.join(names)}")


def _endpoints(topology: Topology) -> Iterator[tuple[str, str]]:
    """Yield the node and the name of each interface that has an endpoint."""
    for node in topology.nodes:
        addresses = {endpoint.address for endpoint in node.endpoints}
        for interface in node.interfaces:
            if any(host(address) in addresses for address in interface.addresses):
                yield node.name, interface.name


def _shaping(event: EventSpec) -> str:
    options = (event.set or {}).items()
    return "set " + ", ".join(f"{name} {grammar.text_of(name, value)}" for name, value in options)
