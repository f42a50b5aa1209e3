"""The engines that carry the frames of a wire: the kernel's netem, or the emulator process."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Final, Protocol, TypeAlias

from testbed.errors import OperationError, PlatformError, SandboxError
from testbed.netlink.codec import Request
from testbed.sandbox.holder import forked
from testbed.sandbox.holder.features import Features
from testbed.sandbox.holder.namespace import Namespace
from testbed.sandbox.holder.playing import Played
from testbed.sandbox.holder.queue import refusal
from testbed.sandbox.netlink import direction, qdiscs, redirect
from testbed.sandbox.observation import QdiscState
from testbed.topology import operations as ops
from testbed.wire.emulator.client import PROGRAM, Emulator, command
from testbed.wire.emulator.messages import Report
from testbed.wire.netem import Netem, WireCounters
from testbed.wire.schedule import NEVER

_CONTROL: Final = 3  # the descriptor of an emulator's end, after the standard ones

# (link, toward) -> counts since the start
Counters: TypeAlias = dict[tuple[str, str], WireCounters]
# an operation and the wire that it wants
Checks: TypeAlias = Sequence[tuple[ops.Operation, ops.AddWire]]


class Engine(Protocol):
    """Carries frames between the two middle ends of wires."""

    def add(self, wire: ops.AddWire) -> None:
        """Start carrying frames.

        :raises TestbedError: the engine or the kernel refused it.
        """

    def set(self, before: ops.AddWire, wire: ops.AddWire, operation: ops.SetWire) -> None:
        """Apply the wire's options to one direction without the loss of queued packets."""

    def verify(self, checks: Checks) -> None:
        """Compare the options in force with the wanted ones.

        :raises OperationError: they differ.
        """


class EmulatorEngine:
    """One emulator process in the wire namespace, started with its first wire."""

    def __init__(self, namespace: Namespace) -> None:
        self.pid: int | None = None
        self._namespace = namespace
        self._emulator: Emulator | None = None

    def add(self, wire: ops.AddWire) -> None:
        """See :class:`Engine`."""
        self._started().add(
            link=wire.link,
            a=wire.a,
            b=wire.b,
            mtu=wire.mtu,
            toward_a=wire.toward_a,
            toward_b=wire.toward_b,
            seed=wire.seed,
            offload=wire.offload,
            half_duplex=wire.half_duplex,
            middlebox=wire.middlebox,
            nodes=wire.nodes,
        )

    def set(self, before: ops.AddWire, wire: ops.AddWire, operation: ops.SetWire) -> None:  # noqa: ARG002 - of the protocol
        """See :class:`Engine`."""
        options = _toward(wire, operation.toward)
        self._started().set(wire.link, operation.toward, options)

    def verify(self, checks: Checks) -> None:
        """See :class:`Engine`."""
        if not checks:
            return
        report = self._started().report()
        seen = {(item.link, item.toward): item for item in report.directions}
        for operation, wire in checks:
            for toward, wanted in (("a", wire.toward_a), ("b", wire.toward_b)):
                found = seen.get((wire.link, toward))
                if found is None or found.netem != wanted:
                    wrong = "no such wire" if found is None else found.netem.to_tc() or "no option"
                    said = f"toward {toward}: {wanted.to_tc() or 'no option'}"
                    raise OperationError(str(operation), wanted=said, seen=wrong)
                if found.half_duplex is not wire.half_duplex:
                    said, wrong = (
                        f"toward {toward}: duplex {'half' if each else 'full'}"
                        for each in (wire.half_duplex, found.half_duplex)
                    )
                    raise OperationError(str(operation), wanted=said, seen=wrong)
            self._verify_boxes(operation, wire, report)

    def _verify_boxes(self, operation: ops.Operation, wire: ops.AddWire, report: Report) -> None:
        wanted = [box.kind for box in wire.middlebox]
        found = [work.kind for work in report.boxes.get(wire.link, ())]
        if found != wanted:
            raise OperationError(
                str(operation),
                wanted=f"middleboxes {', '.join(wanted) or 'none'}",
                seen=", ".join(found) or "none",
            )

    def begin_traces(self) -> None:
        """Restart traces and flapping."""
        if self._emulator is not None:
            self._emulator.begin_traces()

    def report(self) -> Report | None:
        """Return the state of its wires and its cost, or ``None`` if there is no emulator."""
        return self._emulator.report() if self._emulator else None

    def _started(self) -> Emulator:
        if self._emulator is None:
            ours, theirs = socket.socketpair()
            descriptors = {number: number for number in range(_CONTROL)}
            with theirs, self._namespace.entered():
                descriptors[_CONTROL] = theirs.fileno()
                try:
                    self.pid = forked.start(
                        PROGRAM, command(_CONTROL), dict(os.environ), descriptors
                    )
                except OSError as error:
                    raise SandboxError(f"the emulator cannot be started: {error}") from error
            self._emulator = Emulator(ours)
        return self._emulator


class NetemEngine:
    """A redirect from each middle end to the other, and netem on the interface that sends.

    If the sender shapes, netem is on the nodes' interfaces, and the middle has only redirects.
    """

    def __init__(self, namespaces: Mapping[str, Namespace], features: Features) -> None:
        self._namespaces = namespaces
        self._namespace = namespaces[ops.WIRE]
        self._features = features
        self._played: dict[tuple[str, str], Played] = {}
        self._spaces: dict[tuple[str, str], Namespace] = {}  # namespaces of the played directions

    @property
    def next_ns(self) -> int:
        """The time of the next scheduled change (a trace or flapping)."""
        return min((it.next_ns for it in self._played.values()), default=NEVER)

    def play(self, now_ns: int) -> None:
        """Carry out the scheduled changes that are due.

        :raises OperationError: the kernel refused one.
        """
        for place, played in self._played.items():
            if played.next_ns <= now_ns:
                self._request(played.until(now_ns), "play a trace", self._spaces[place])

    def begin_traces(self) -> None:
        """Restart traces and flapping.

        :raises OperationError: the kernel refused it.
        """
        for place, played in self._played.items():
            self._request(played.begin(), ops.BeginTraces(), self._spaces[place])

    def in_force(self) -> dict[tuple[str, str], Netem]:
        """Return the present options of the directions with scheduled changes."""
        return {place: played.in_force for place, played in self._played.items()}

    def missing(self, wire: ops.AddWire) -> PlatformError | None:
        """Return why this kernel cannot carry a wire, or None if it can."""
        directions, at_sender = (wire.toward_a, wire.toward_b), wire.senders is not None
        for netem in directions:
            if found := direction.impossible(netem, wire.link, at_sender=at_sender):
                return found
        needed = (direction.needed(it, at_sender=at_sender) for it in directions)
        names = dict.fromkeys(itertools.chain(*needed, ["redirect"]))
        return next(filter(None, map(self._features.missing, names)), None)

    def add(self, wire: ops.AddWire) -> None:
        """See :class:`Engine`."""
        missing = self.missing(wire)
        if missing is not None:
            raise missing
        for toward in ("a", "b"):
            space, index = self._place(wire, toward, wire)
            self._request(self._build(wire, toward, space, index), wire, space)
        way = self._features.redirect()
        a, b = (self._namespace.index(name, wire) for name in (wire.a, wire.b))
        requests = [*redirect.requests(way, a, b), *redirect.requests(way, b, a)]
        self._request(requests, wire, self._namespace)

    def set(self, before: ops.AddWire, wire: ops.AddWire, operation: ops.SetWire) -> None:
        """See :class:`Engine`."""
        toward, at_sender = operation.toward, wire.senders is not None
        old, new = (_toward(each, toward) for each in (before, wire))
        if found := direction.impossible(new, wire.link, at_sender=at_sender):
            raise found
        space, index = self._place(wire, toward, operation)
        place, seed = (wire.link, toward), seed_toward(wire, toward)
        played = self._played.get(place)
        if played is not None and (old.trace, old.flap) == (new.trace, new.flap):
            self._request(played.change(new), operation, space)
            return
        following = self._player(new, wire, toward, index)
        requests = direction.change(
            index,
            old if played is None else played.in_force,
            new if following is None else following.in_force,
            wire.mtu,
            seed,
            at_sender=at_sender,
        )
        self._request(requests, operation, space)
        self._played.pop(place, None)
        if following is not None:
            self._played[place], self._spaces[place] = following, space

    def verify(self, checks: Checks) -> None:
        """See :class:`Engine`."""
        seen: dict[str, direction.Seen] = {}
        for operation, wire in checks:
            a, b = (self._namespace.index(name, operation) for name in (wire.a, wire.b))
            for source, target, toward in ((a, b, "b"), (b, a, "a")):
                found = redirect.target_of(self._namespace.socket(), source)
                if found != target:
                    raise OperationError(
                        str(operation), wanted=f"a redirect to {target}", seen=f"one to {found}"
                    )
                space, index = self._place(wire, toward, operation)
                if space.name not in seen:
                    seen[space.name] = direction.Seen(space.socket())
                differs = direction.difference(
                    index,
                    self._options(wire, toward),
                    wire.mtu,
                    seen[space.name],
                    at_sender=wire.senders is not None,
                )
                if differs is not None:
                    wanted, is_there = differs
                    raise OperationError(str(operation), wanted=wanted, seen=is_there)

    def counters(self, wires: Sequence[ops.AddWire]) -> Counters:
        """Return the counters of some wires."""
        states: dict[str, dict[str, list[QdiscState]]] = {}
        found: Counters = {}
        for wire in wires:
            for toward in ("a", "b"):
                space, name = self._interface(wire, toward)
                if space.name not in states:
                    states[space.name] = _by_interface(space)
                options = self._options(wire, toward)
                found[wire.link, toward] = direction.counters(options, states[space.name][name])
        return found

    def _interface(self, wire: ops.AddWire, toward: str) -> tuple[Namespace, str]:
        """Return the interface whose qdiscs shape a direction."""
        if wire.senders is not None:
            sender = wire.senders[toward == "b"]
            return self._namespaces[sender.namespace], sender.interface
        return self._namespace, wire.a if toward == "a" else wire.b

    def _place(
        self, wire: ops.AddWire, toward: str, operation: ops.Operation
    ) -> tuple[Namespace, int]:
        """Return namespace and index of the interface whose qdiscs shape a direction."""
        space, name = self._interface(wire, toward)
        return space, space.index(name, operation)

    def _build(self, wire: ops.AddWire, toward: str, space: Namespace, index: int) -> list[Request]:
        options = _toward(wire, toward)
        played = self._player(options, wire, toward, index)
        if played is not None:
            place = wire.link, toward
            self._played[place], self._spaces[place] = played, space
            options = played.in_force
        return direction.build(
            index,
            options,
            wire.mtu,
            seed_toward(wire, toward),
            at_sender=wire.senders is not None,
        )

    def _player(self, options: Netem, wire: ops.AddWire, toward: str, index: int) -> Played | None:
        return Played.of(
            options,
            index,
            wire.mtu,
            seed_toward(wire, toward),
            wire.seed,
            at_sender=wire.senders is not None,
        )

    def _options(self, wire: ops.AddWire, toward: str) -> Netem:
        """Return the present options of a direction."""
        played = self._played.get((wire.link, toward))
        return _toward(wire, toward) if played is None else played.in_force

    def _request(
        self, requests: Sequence[Request], operation: ops.Operation | str, space: Namespace
    ) -> None:
        for error in space.socket().request(requests) if requests else ():
            if error is not None:
                raise refusal(operation, error)


def _by_interface(space: Namespace) -> dict[str, list[QdiscState]]:
    """Return all qdiscs of a namespace by interface."""
    names = {index: name for name, index in space.indices.items()}
    states: dict[str, list[QdiscState]] = {}
    for state in qdiscs.read_qdiscs(space.socket(), names):
        states.setdefault(state.interface, []).append(state)
    return states


def _toward(wire: ops.AddWire, toward: str) -> Netem:
    """Return the wanted options of a direction."""
    return wire.toward_a if toward == "a" else wire.toward_b


def seed_toward(wire: ops.AddWire, toward: str) -> int:
    """Return a seed for a direction, so that the two directions of a wire have different ones."""
    return wire.seed << 1 | (toward == "b")
