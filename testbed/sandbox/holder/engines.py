"""The engines that carry the frames of a wire: the kernel's netem, or the emulator process."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Sequence
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

Counters: TypeAlias = dict[tuple[str, str], WireCounters]  # (link, toward) -> since the start
Checks: TypeAlias = Sequence[tuple[ops.Operation, ops.AddWire]]  # who asked, and what for


class Engine(Protocol):
    """Carries frames between the two middle ends of wires."""

    def add(self, wire: ops.AddWire) -> None:
        """Start carrying; :class:`TestbedError` if it is refused."""

    def set(self, before: ops.AddWire, wire: ops.AddWire, operation: ops.SetWire) -> None:
        """Put the wire's options in force for one direction, without losing what is queued."""

    def verify(self, checks: Checks) -> None:
        """Compare what is in force with what is wanted; :class:`OperationError`: it differs."""


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
        options, _ = _toward(wire, operation.toward)
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
        """Let what changes by itself begin anew."""
        if self._emulator is not None:
            self._emulator.begin_traces()

    def report(self) -> Report | None:
        """Return the state of its wires and its cost; ``None``: there is no emulator."""
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
    """A redirect from each middle end to the other, and netem where the frames leave."""

    def __init__(self, namespace: Namespace, features: Features) -> None:
        self._namespace = namespace
        self._features = features
        self._played: dict[tuple[str, str], Played] = {}

    @property
    def next_ns(self) -> int:
        """When something changes by itself."""
        return min((it.next_ns for it in self._played.values()), default=NEVER)

    def play(self, now_ns: int) -> None:
        """Change what changes by itself until now; :class:`OperationError` if it is refused."""
        requests = [
            request
            for played in self._played.values()
            if played.next_ns <= now_ns
            for request in played.until(now_ns)
        ]
        self._request(requests, "play a trace")

    def begin_traces(self) -> None:
        """Let what changes by itself begin anew; :class:`OperationError` if it is refused."""
        requests = [request for played in self._played.values() for request in played.begin()]
        self._request(requests, ops.BeginTraces())

    def in_force(self) -> dict[tuple[str, str], Netem]:
        """Return the options of the directions that change by themselves."""
        return {place: played.in_force for place, played in self._played.items()}

    def missing(self, wire: ops.AddWire) -> PlatformError | None:
        """Return why this kernel cannot carry a wire; None: it can."""
        directions = (wire.toward_a, wire.toward_b)
        for netem in directions:
            if found := direction.impossible(netem, wire.link):
                return found
        needed = itertools.chain(*map(direction.needed, directions), ["redirect"])
        names = dict.fromkeys(needed)
        return next(filter(None, map(self._features.missing, names)), None)

    def add(self, wire: ops.AddWire) -> None:
        """See :class:`Engine`."""
        missing = self.missing(wire)
        if missing is not None:
            raise missing
        way = self._features.redirect()
        a, b = (self._namespace.index(name, wire) for name in (wire.a, wire.b))
        requests = [
            *self._build(wire, "a", a),
            *self._build(wire, "b", b),
            *redirect.requests(way, a, b),
            *redirect.requests(way, b, a),
        ]
        self._request(requests, wire)

    def set(self, before: ops.AddWire, wire: ops.AddWire, operation: ops.SetWire) -> None:
        """See :class:`Engine`."""
        toward = operation.toward
        (old, _), (new, name) = (_toward(each, toward) for each in (before, wire))
        if found := direction.impossible(new, wire.link):
            raise found
        index = self._namespace.index(name, operation)
        place, seed = (wire.link, toward), seed_toward(wire, toward)
        played = self._played.get(place)
        if played is not None and (old.trace, old.flap) == (new.trace, new.flap):
            self._request(played.change(new), operation)
            return
        following = Played.of(new, index, wire.mtu, seed, wire.seed)
        requests = direction.change(
            index,
            old if played is None else played.in_force,
            new if following is None else following.in_force,
            wire.mtu,
            seed,
        )
        self._request(requests, operation)
        self._played.pop(place, None)
        if following is not None:
            self._played[place] = following

    def verify(self, checks: Checks) -> None:
        """See :class:`Engine`."""
        if not checks:
            return
        netlink = self._namespace.socket()
        seen = direction.Seen(netlink)
        for operation, wire in checks:
            a, b = (self._namespace.index(name, operation) for name in (wire.a, wire.b))
            for source, target, toward in ((a, b, "b"), (b, a, "a")):
                options = self._options(wire, toward)
                found = redirect.target_of(netlink, source)
                if found != target:
                    raise OperationError(
                        str(operation), wanted=f"a redirect to {target}", seen=f"one to {found}"
                    )
                differs = direction.difference(target, options, wire.mtu, seen)
                if differs is not None:
                    wanted, is_there = differs
                    raise OperationError(str(operation), wanted=wanted, seen=is_there)

    def counters(self, wires: Sequence[ops.AddWire]) -> Counters:
        """Return what some wires have done."""
        if not wires:
            return {}
        names = {index: name for name, index in self._namespace.indices.items()}
        states: dict[str, list[QdiscState]] = {}
        for state in qdiscs.read_qdiscs(self._namespace.socket(), names):
            states.setdefault(state.interface, []).append(state)
        found: Counters = {}
        for wire in wires:
            for toward in ("a", "b"):
                _, name = _toward(wire, toward)
                options = self._options(wire, toward)
                found[wire.link, toward] = direction.counters(options, states[name])
        return found

    def _build(self, wire: ops.AddWire, toward: str, index: int) -> list[Request]:
        options, _ = _toward(wire, toward)
        seed = seed_toward(wire, toward)
        played = Played.of(options, index, wire.mtu, seed, wire.seed)
        if played is not None:
            self._played[wire.link, toward] = played
            options = played.in_force
        return direction.build(index, options, wire.mtu, seed)

    def _options(self, wire: ops.AddWire, toward: str) -> Netem:
        """Return what is in force now."""
        played = self._played.get((wire.link, toward))
        return _toward(wire, toward)[0] if played is None else played.in_force

    def _request(self, requests: Sequence[Request], operation: ops.Operation | str) -> None:
        for error in self._namespace.socket().request(requests) if requests else ():
            if error is not None:
                raise refusal(operation, error)


def _toward(wire: ops.AddWire, toward: str) -> tuple[Netem, str]:
    """Return the options of a direction, and the interface that its frames leave by."""
    return (wire.toward_a, wire.a) if toward == "a" else (wire.toward_b, wire.b)


def seed_toward(wire: ops.AddWire, toward: str) -> int:
    """Give the two directions of a wire unlike randomness."""
    return wire.seed << 1 | (toward == "b")
