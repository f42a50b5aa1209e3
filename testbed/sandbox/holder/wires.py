"""The wires of a sandbox: which engine carries each, and the options in force."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from testbed.errors import OperationError
from testbed.sandbox.holder.engines import EmulatorEngine, Engine, NetemEngine
from testbed.sandbox.holder.features import Features
from testbed.sandbox.holder.namespace import Namespace
from testbed.topology import operations as ops
from testbed.wire.netem import Netem
from testbed.wire.report import Wire, WireReport

ENDS: Final = ("a", "b")


class Wires:
    """All wires; the engines do the work."""

    def __init__(self, namespace: Namespace, features: Features) -> None:
        self._emulated = EmulatorEngine(namespace)
        self._kernel = NetemEngine(namespace, features)
        self._engines: dict[str, Engine] = {"netem": self._kernel, "emulator": self._emulated}
        self._wires: dict[str, ops.AddWire] = {}  # with the engine and the options in force

    @property
    def emulator_pid(self) -> int | None:
        """The emulator's process, once a wire needed it."""
        return self._emulated.pid

    def engines(self) -> dict[str, str]:
        """The engine of each wire."""
        return {link: wire.engine for link, wire in self._wires.items()}

    def add(self, operation: ops.AddWire) -> None:
        """Make a wire with the engine it asks for; ``auto`` is netem where that can do it."""
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
        options: Netem = getattr(wire, name).merge(operation.options)
        changed = msgspec.structs.replace(wire, **{name: options})
        self._engines[wire.engine].set(wire, changed, operation)
        self._wires[wire.link] = changed

    def verify(self, operations: Collection[ops.Operation]) -> None:
        """Read the wires these operations are about back; :class:`OperationError`: they differ."""
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

    def report(self) -> WireReport:
        """Options and counters of every direction of every wire."""
        counters = self._kernel.counters(
            [wire for wire in self._wires.values() if wire.engine == "netem"]
        )
        counters.update(self._emulated.counters())
        return WireReport(
            wires=tuple(
                Wire(
                    link=link,
                    toward=toward,
                    engine=wire.engine,
                    netem=getattr(wire, f"toward_{toward}"),
                    counters=counters[link, toward],
                )
                for link, wire in self._wires.items()
                for toward in ENDS
            ),
            emulator_cpu_s=self._emulated.cpu_seconds(),
        )
