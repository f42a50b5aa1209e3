"""What can carry the frames of a wire: the kernel's netem, or the emulator process."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Sequence
from typing import Protocol, TypeAlias

from testbed.errors import OperationError, PlatformError, SandboxError
from testbed.netlink.codec import Request
from testbed.sandbox.holder.features import Features
from testbed.sandbox.holder.namespace import Namespace
from testbed.sandbox.holder.queue import refusal
from testbed.sandbox.netlink import direction, qdiscs, redirect
from testbed.sandbox.observation import QdiscState
from testbed.topology import operations as ops
from testbed.wire.emulator.client import Emulator, command
from testbed.wire.netem import Netem, WireCounters

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
        seen = {(item.link, item.toward): item.netem for item in report.directions}
        for operation, wire in checks:
            for toward, wanted in (("a", wire.toward_a), ("b", wire.toward_b)):
                found = seen.get((wire.link, toward))
                if found != wanted:
                    raise OperationError(
                        str(operation),
                        wanted=f"toward {toward}: {wanted.to_tc() or 'no option'}",
                        seen="no such wire" if found is None else found.to_tc() or "no option",
                    )

    def counters(self) -> Counters:
        """Return what its wires have done."""
        return self._emulator.counters() if self._emulator else {}

    def cpu_seconds(self) -> float:
        """Return what the process has used of the CPU."""
        return self._emulator.cpu_seconds() if self._emulator else 0.0

    def _started(self) -> Emulator:
        if self._emulator is None:
            ours, theirs = socket.socketpair()
            argv = command(3)
            with theirs, self._namespace.entered():
                actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), 3)]
                try:
                    self.pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
                except OSError as error:
                    raise SandboxError(f"the emulator cannot be started: {error}") from error
            self._emulator = Emulator(ours)
        return self._emulator


class NetemEngine:
    """A redirect from each middle end to the other, and netem where the frames leave."""

    def __init__(self, namespace: Namespace, features: Features) -> None:
        self._namespace = namespace
        self._features = features

    def missing(self, wire: ops.AddWire) -> PlatformError | None:
        """Return why this kernel cannot carry a wire; None: it can."""
        directions = (wire.toward_a, wire.toward_b)
        for netem in directions:
            if found := direction.impossible(netem, wire.link):
                return found
        names = dict.fromkeys(itertools.chain(*map(direction.needed, directions), ["redirect"]))
        return next(filter(None, map(self._features.missing, names)), None)

    def add(self, wire: ops.AddWire) -> None:
        """See :class:`Engine`."""
        missing = self.missing(wire)
        if missing is not None:
            raise missing
        way = self._features.redirect()
        a, b = (self._namespace.index(name, wire) for name in (wire.a, wire.b))
        requests = [
            *direction.build(a, wire.toward_a, wire.mtu, seed_toward(wire, "a")),
            *direction.build(b, wire.toward_b, wire.mtu, seed_toward(wire, "b")),
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
        requests = direction.change(index, old, new, wire.mtu, seed_toward(wire, toward))
        self._request(requests, operation)

    def verify(self, checks: Checks) -> None:
        """See :class:`Engine`."""
        if not checks:
            return
        netlink = self._namespace.socket()
        seen = direction.Seen(netlink)
        for operation, wire in checks:
            a, b = (self._namespace.index(name, operation) for name in (wire.a, wire.b))
            for source, target, options in ((a, b, wire.toward_b), (b, a, wire.toward_a)):
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
                options, name = _toward(wire, toward)
                found[wire.link, toward] = direction.counters(options, states[name])
        return found

    def _request(self, requests: Sequence[Request], operation: ops.Operation) -> None:
        for error in self._namespace.socket().request(requests):
            if error is not None:
                raise refusal(operation, error)


def _toward(wire: ops.AddWire, toward: str) -> tuple[Netem, str]:
    """Return the options of a direction, and the interface that its frames leave by."""
    return (wire.toward_a, wire.a) if toward == "a" else (wire.toward_b, wire.b)


def seed_toward(wire: ops.AddWire, toward: str) -> int:
    """Give the two directions of a wire unlike randomness."""
    return wire.seed << 1 | (toward == "b")
