"""Machines without a kernel, for tests: what is to run in one is simulated."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import msgspec

from testbed.campaign import inside
from testbed.campaign.messages import Errand
from testbed.errors import MachineError
from testbed.experiment.venue import SIMULATION
from testbed.machine import Availability, Program
from testbed.machine.model import VARIABLE

notes: Path | None = None  # the file to which each start is added


class Start(msgspec.Struct):
    machine: str
    runs: list[int]
    seed: int
    errand: Errand


class Fake:
    """A machine; one whose name begins with ``fake:broken`` does not work here.

    One that begins with ``fake:mute`` writes an octet to the named pipe :func:`muted`, and does
    nothing else.  One that begins with ``fake:dying`` ends when it should begin its third run.
    """

    def __init__(self, kernel: str, noted: Path | None) -> None:
        self.name = f"fake:{kernel}"
        self._notes = noted

    def availability(self) -> Availability:
        ok = not self.name.startswith("fake:broken")
        return Availability(ok=ok, why="it is a fake", remedy="" if ok else "mend it")

    def execute(self, program: Program, *, console: Path, limit_s: float | None = None) -> int:
        python, _, module, name = program.argv
        assert (python, module) == (sys.executable, "testbed.campaign.inside")
        errand = msgspec.json.decode(Path(name).read_bytes(), type=Errand)
        runs = [run.number for run, _ in errand.runs]
        start = Start(machine=self.name, runs=runs, seed=program.seed, errand=errand)
        assert self._notes is not None
        with self._notes.open("ab") as file:
            file.write(msgspec.json.encode(start) + b"\n")
        console.write_text(f"it was here: {runs}\n")
        if self.name.startswith("fake:mute"):
            muted(self._notes).write_bytes(b".")
            signal.pause()
        dies = self.name.startswith("fake:dying") and runs[-1] >= 3
        if dies:
            errand = msgspec.structs.replace(
                errand, runs=tuple(it for it in errand.runs if it[0].number < 3)
            )
        definition = msgspec.structs.replace(errand.definition, machine=SIMULATION)
        os.environ[VARIABLE] = self.name
        status = inside.carry_out(
            msgspec.structs.replace(errand, definition=definition), program.output
        )
        if dies:
            raise MachineError(f"the machine {self.name} ended before its program did")
        return status


def machine(kernel: str) -> Fake:
    return Fake(kernel, notes)


def muted(noted: Path) -> Path:
    """Return the named pipe beside the notes to which mute machines write."""
    return noted.with_name("muted")


def started() -> list[Start]:
    """Return every start of a machine, in order."""
    if notes is None or not notes.exists():
        return []
    return [msgspec.json.decode(line, type=Start) for line in notes.read_bytes().splitlines()]


class Ports:
    """A host that has some addresses, and ports that can be held."""

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts
        self.held: list[int] = []

    def hold_port(self, port: int = 0) -> int:
        self.held.append(port or 40000 + len(self.held))
        return self.held[-1]

    def let_go_port(self, port: int) -> None:
        self.held.remove(port)

    def is_local(self, host: str) -> bool:
        return host in self.hosts

    def source_for(self, host: str) -> str:
        del host
        return self.hosts[0]
