"""What can carry the frames of a wire: the kernel's netem, or the emulator process."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Protocol, TypeAlias

from testbed.errors import OperationError, PlatformError, SandboxError
from testbed.sandbox.holder.features import Features
from testbed.sandbox.holder.namespace import Namespace
from testbed.sandbox.holder.queue import refusal
from testbed.sandbox.netlink import netem, qdiscs, redirect
from testbed.topology import operations as ops
from testbed.wire.emulator.client import Emulator, command
from testbed.wire.netem import WireCounters

Counters: TypeAlias = dict[tuple[str, str], WireCounters]  # (link, toward) -> since the start
Checks: TypeAlias = Sequence[tuple[ops.Operation, ops.AddWire]]  # who asked, and what for


class Engine(Protocol):
    """Carries frames between the two middle ends of wires."""

    def add(self, wire: ops.AddWire) -> None:
        """Start carrying; :class:`TestbedError` if it is refused."""

    def set(self, wire: ops.AddWire, operation: ops.SetWire) -> None:
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

    def set(self, wire: ops.AddWire, operation: ops.SetWire) -> None:
        """See :class:`Engine`."""
        options = wire.toward_a if operation.toward == "a" else wire.toward_b
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
        """Return why this kernel's netem cannot carry a wire; None: it can."""
        if wire.toward_a.trace or wire.toward_b.trace:
            return PlatformError(
                "netem cannot replay a trace",
                why=f"link {wire.link} gives its rate as one",
                instead="use the emulator: --wire emulator, or auto",
            )
        return self._features.missing("netem") or self._features.missing("redirect")

    def add(self, wire: ops.AddWire) -> None:
        """See :class:`Engine`."""
        missing = self.missing(wire)
        if missing is not None:
            raise missing
        way = self._features.redirect()
        a, b = (self._namespace.index(name, wire) for name in (wire.a, wire.b))
        requests = [
            netem.new_qdisc(a, wire.toward_a, wire.mtu, seed_toward(wire, "a")),
            netem.new_qdisc(b, wire.toward_b, wire.mtu, seed_toward(wire, "b")),
            *redirect.requests(way, a, b),
            *redirect.requests(way, b, a),
        ]
        for error in self._namespace.socket().request(requests):
            if error is not None:
                raise refusal(wire, error)

    def set(self, wire: ops.AddWire, operation: ops.SetWire) -> None:
        """See :class:`Engine`."""
        toward = operation.toward
        options, name = (wire.toward_a, wire.a) if toward == "a" else (wire.toward_b, wire.b)
        request = netem.change_qdisc(
            self._namespace.index(name, operation), options, wire.mtu, seed_toward(wire, toward)
        )
        (error,) = self._namespace.socket().request([request])
        if error is not None:
            raise refusal(operation, error)

    def verify(self, checks: Checks) -> None:
        """See :class:`Engine`."""
        if not checks:
            return
        netlink = self._namespace.socket()
        seen = qdiscs.read_netem(netlink)
        for operation, wire in checks:
            a, b = (self._namespace.index(name, operation) for name in (wire.a, wire.b))
            for source, target, options in ((a, b, wire.toward_b), (b, a, wire.toward_a)):
                found = redirect.target_of(netlink, source)
                if found != target:
                    raise OperationError(
                        str(operation), wanted=f"a redirect to {target}", seen=f"one to {found}"
                    )
                _compare(operation, netem.parameters(options, wire.mtu), seen.get(target))

    def counters(self, wires: Sequence[ops.AddWire]) -> Counters:
        """Return what some wires have done.

        netem counts neither duplicates, corruptions nor reorderings, and its lost and its
        overflowing packets in one number: that is given as loss where a loss is configured.
        """
        if not wires:
            return {}
        names = {index: name for name, index in self._namespace.indices.items()}
        states = {
            state.interface: state
            for state in qdiscs.read_qdiscs(self._namespace.socket(), names)
            if state.kind == "netem"
        }
        found: Counters = {}
        for wire in wires:
            for toward, options, name in (
                ("a", wire.toward_a, wire.a),
                ("b", wire.toward_b, wire.b),
            ):
                state = states[name]
                lossy = options.loss is not None
                found[wire.link, toward] = WireCounters(
                    forwarded_packets=state.sent_packets,
                    forwarded_bytes=state.sent_bytes,
                    dropped_loss=state.dropped if lossy else 0,
                    dropped_limit=0 if lossy else state.dropped,
                    queued_packets=state.queued_packets,
                    queued_bytes=state.queued_bytes,
                )
        return found


def seed_toward(wire: ops.AddWire, toward: str) -> int:
    """Give the two directions of a wire unlike randomness."""
    return wire.seed << 1 | (toward == "b")


def _compare(
    operation: ops.Operation, wanted: netem.Parameters, seen: netem.Parameters | None
) -> None:
    if seen is None:
        raise OperationError(str(operation), wanted="a netem qdisc", seen="another or none")
    if seen != wanted:
        wanted_words, seen_words = netem.difference(wanted, seen)
        raise OperationError(str(operation), wanted=wanted_words, seen=seen_words)
