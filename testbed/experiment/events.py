"""The time line of operations for the events of a file. Pure."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import msgspec

from testbed.document import Document, join_path
from testbed.errors import all_of
from testbed.experiment.spec import EventSpec, ExperimentSpec
from testbed.topology import changes
from testbed.topology.model import Topology
from testbed.topology.operations import AnyOperation, BeginTraces
from testbed.topology.present import (
    AnyChange,
    GiveAddress,
    GiveEndpoint,
    Present,
    SetEndpoint,
    SetLinkState,
    SetShaping,
    TakeAddress,
    TakeEndpoint,
)
from testbed.wire import grammar
from testbed.wire.netem import Value


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """The actions of one moment: operations, or a program ``argv`` on ``node``.

    :param at_ns: the time since the start of the workload.
    :param text: a description, for people.
    :param change: the effect of the operations on the network.
    """

    at_ns: int
    text: str
    operations: tuple[AnyOperation, ...] = ()
    change: AnyChange | None = None
    node: str | None = None
    argv: tuple[str, ...] = ()


def timeline(document: Document[ExperimentSpec], topology: Topology) -> tuple[Action, ...]:
    """Return the actions in the order of time.

    :raises InputError: an event names something that the topology lacks; with file and line.
    """
    present = Present.at_first(topology, when="at that time")
    found: list[Action] = []
    if any(netem.trace or netem.flap for it in topology.links for netem in it.directions):
        # They began when the wires were made, at an arbitrary time.
        text = "traces and flapping begin"
        found.append(Action(at_ns=0, text=text, operations=(BeginTraces(),)))

    def play(index: int, event: EventSpec) -> None:
        nonlocal present
        with document.placing(join_path("events", index)):
            action, present = _action(present, event)
            found.append(action)

    events = sorted(enumerate(document.value.events), key=lambda pair: pair[1].at_ns)
    all_of(*(functools.partial(play, *pair) for pair in events))
    return tuple(found)


def _action(present: Present, event: EventSpec) -> tuple[Action, Present]:
    """Return the action of an event, and the network after it."""
    if event.run is not None:
        node = changes.find_node(present.built, event.node or "").name
        text = f"node {node}: run {' '.join(event.run)}"
        return Action(at_ns=event.at_ns, text=text, node=node, argv=event.run), present
    text, change = _change(event)
    operations, after = present.changed(change)
    action = Action(at_ns=event.at_ns, text=text, operations=operations, change=change)
    return action, after


def _change(event: EventSpec) -> tuple[str, AnyChange]:
    """Return the change that an event makes, and its description."""
    if event.link is not None:
        toward = f" toward {event.toward}" if event.toward else ""
        about = f"link {event.link}{toward}:"
        if event.state is not None:
            return f"{about} {event.state}", SetLinkState(link=event.link, state=event.state)
        options = event.set or {}
        return f"{about} {_shaping(options)}", SetShaping(
            link=event.link, options=options, toward=event.toward
        )
    node = event.node or ""
    what, change = _of_node(event, node)
    return f"node {node}: {what}", change


def _of_node(event: EventSpec, node: str) -> tuple[str, AnyChange]:
    """Return the change of a node that the event contains."""
    if it := event.add_address:
        change: AnyChange = GiveAddress(node=node, interface=it.interface, address=it.address)
        return f"add address {it.address} to {it.interface}", change
    if it := event.remove_address:
        change = TakeAddress(node=node, interface=it.interface, address=it.address)
        return f"remove address {it.address} from {it.interface}", change
    if endpoint := event.add_endpoint:
        which = endpoint.address or endpoint.interface
        text = f"add endpoint {which} {' '.join(endpoint.flags)}"
        return text, GiveEndpoint(node=node, endpoint=endpoint)
    if flags := event.set_endpoint:
        change = SetEndpoint(
            node=node, which=flags.interface, backup=flags.backup, fullmesh=flags.fullmesh
        )
        return f"set endpoint {flags.interface} {flags}", change
    assert event.remove_endpoint  # noqa: S101 - EventSpec has exactly one action
    interface = event.remove_endpoint.interface
    return f"remove endpoint {interface}", TakeEndpoint(node=node, which=interface)


def _shaping(options: Mapping[str, Value]) -> str:
    texts = (f"{name} {grammar.text_of(name, value)}" for name, value in options.items())
    return "set " + ", ".join(texts)
