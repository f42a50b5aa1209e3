"""The wires of a sandbox: the engine of each, and the options in force."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

import msgspec

from testbed.errors import OperationError
from testbed.sandbox.holder.engines import EmulatorEngine, Engine, NetemEngine
from testbed.sandbox.holder.features import Features
from testbed.sandbox.holder.namespace import Namespace
from testbed.sandbox.netlink import direction
from testbed.topology import operations as ops
from testbed.wire import grammar
from testbed.wire.netem import OPTIONS, Netem
from testbed.wire.report import Wire, WireReport

ENDS: Final = ("a", "b")


class Wires:
    """All wires of a sandbox, each carried by an engine."""

    def __init__(self, namespaces: Mapping[str, Namespace], features: Features) -> None:
        self._emulated = EmulatorEngine(namespaces[ops.WIRE])
        self._kernel = NetemEngine(namespaces, features)
        self._engines: dict[str, Engine] = {"netem": self._kernel, "emulator": self._emulated}
        self._wires: dict[str, ops.AddWire] = {}  # wires with the present engine and options

    @property
    def emulator_pid(self) -> int | None:
        """The pid of the emulator, or None if no wire has needed it."""
        return self._emulated.pid

    def engines(self) -> dict[str, str]:
        """Return the engine of each wire."""
        return {link: wire.engine for link, wire in self._wires.items()}

    def add(self, operation: ops.AddWire) -> None:
        """Add a wire with its engine; ``auto`` means netem if it can carry the wire."""
        engine = operation.engine
        if engine == "auto":
            engine = "emulator" if self._kernel.missing(operation) else "netem"
        wire = msgspec.structs.replace(operation, engine=engine)
        self._engines[engine].add(wire)
        self._wires[wire.link] = wire

    def set(self, operation: ops.SetWire) -> None:
        """Change some options of one direction and keep the others."""
        wire = self._wires.get(operation.link)
        if wire is None or operation.toward not in ENDS:
            raise OperationError(
                str(operation),
                wanted=f"a wire {operation.link} with an end {operation.toward}",
                seen="wires " + ", ".join(self._wires),
            )
        name = f"toward_{operation.toward}"
        options = _toward(wire, operation.toward).merge(operation.options)
        changed = msgspec.structs.replace(wire, **{name: options})
        self._engines[wire.engine].set(wire, changed, operation)
        self._wires[wire.link] = changed

    def begin_traces(self) -> None:
        """Restart traces and flapping."""
        self._emulated.begin_traces()
        self._kernel.begin_traces()

    @property
    def next_ns(self) -> int:
        """The time of the next scheduled change of a wire in the kernel."""
        return self._kernel.next_ns

    def play(self, now_ns: int) -> None:
        """Carry out the scheduled changes that are due.

        :raises TestbedError: the kernel refused one.
        """
        self._kernel.play(now_ns)

    def verify(self, operations: Collection[ops.Operation]) -> None:
        """Read back the wires that operations concern.

        :raises OperationError: a wire differs from the wanted one.
        """
        about = {
            each.link: each for each in operations if isinstance(each, ops.AddWire | ops.SetWire)
        }
        for name, engine in self._engines.items():
            engine.verify(
                [
                    (operation, self._wires[link])
                    for link, operation in about.items()
                    if self._wires[link].engine == name
                ]
            )

    def shapings(self) -> tuple[ops.SetWire, ...]:
        """Return the operations that would set all options of every direction."""
        return tuple(
            ops.SetWire(
                link=link,
                toward=toward,
                options=dict.fromkeys(OPTIONS, "none") | _toward(wire, toward).options(),
            )
            for link, wire in self._wires.items()
            for toward in ENDS
        )

    def commands(self, operations: Iterable[ops.AnyOperation]) -> tuple[str, ...]:
        """Return the equivalent commands of iproute2 for operations; tc(8) names every option."""
        wires = dict(self._wires)
        found = []
        for each in operations:
            if isinstance(each, ops.SetWire) and each.link in wires:
                name = f"toward_{each.toward}"
                options = _toward(wires[each.link], each.toward).merge(each.options)
                wires[each.link] = msgspec.structs.replace(wires[each.link], **{name: options})
                found.append(_command(wires[each.link], each.toward))
            else:
                found.append(str(each))
        return tuple(found)

    def report(self) -> WireReport:
        """Return the options and the counters of every direction of every wire."""
        counters = self._kernel.counters(
            [wire for wire in self._wires.values() if wire.engine == "netem"]
        )
        emulated = self._emulated.report()
        directions = emulated.directions if emulated else ()
        counters.update({(it.link, it.toward): it.counters for it in directions})
        in_force = self._kernel.in_force()
        in_force |= {(it.link, it.toward): it.in_force for it in directions}
        return WireReport(
            wires=tuple(
                Wire(
                    link=link,
                    toward=toward,
                    engine=wire.engine,
                    netem=_toward(wire, toward),
                    in_force=in_force.get((link, toward)),
                    counters=counters[link, toward],
                )
                for link, wire in self._wires.items()
                for toward in ENDS
            ),
            emulator_cpu_s=emulated.cpu_seconds if emulated else 0.0,
            boxes=emulated.boxes if emulated else {},
        )


def _toward(wire: ops.AddWire, toward: str) -> Netem:
    return wire.toward_a if toward == "a" else wire.toward_b


def _command(wire: ops.AddWire, toward: str) -> str:
    """Return the tc(8) command that sets the present shaping of one direction."""
    netem = _toward(wire, toward)
    if netem.trace is not None or netem.flap is not None:  # tc(8) has no equivalent
        return f"wire change {wire.link} toward {toward} {netem.to_tc()}"
    options = netem.options()
    if netem.limit is not None and netem.trace is None:
        options["limit"] = str(netem.limit_packets(wire.mtu))  # tc supports packets only
    space, device = ops.WIRE, wire.a if toward == "a" else wire.b
    at_sender = wire.senders is not None
    if wire.senders is not None:
        sender = wire.senders[toward == "b"]
        space, device = sender.namespace, sender.interface
    if netem.rate is not None and (netem.queue is not None or at_sender):
        commands = direction.commands(netem, wire.mtu, at_sender=at_sender)
        return "; ".join(each.format(f"tc -n {space}", f"dev {device}") for each in commands)
    words = f"tc -n {space} qdisc change dev {device} root netem {grammar.join(options)}".strip()
    return words if wire.engine == "netem" else f"{words}  # {wire.engine}"
