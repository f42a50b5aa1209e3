"""`testbed run --machine M`: the same command inside machines, and what came out side by side."""

from __future__ import annotations

import compileall
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from testbed.cli.conclusion import conclude, exit_code
from testbed.cli.output import console, print_json
from testbed.errors import MachineError, PlatformError
from testbed.machine import Machine, Program

if TYPE_CHECKING:
    from testbed.experiment.outcome import Outcome

_STDOUT, _STDERR = 1, 2
# Of several exit codes the first of these that occurs is ours; see testbed.errors.
_WORST: Final = (130, 2, 4, 1, 3)
_INTERRUPTED: Final = 130

# By machine: its result folders and what came out.
Outcomes = dict[str, list[tuple[Path, "Outcome"]]]


def run(machines: Sequence[Machine], arguments: Sequence[str], results: Path, *, json: bool) -> int:
    """Run ``testbed run ARGUMENTS`` in each machine, one after the other; return an exit code.

    :param results: where result folders appear, or the one folder that is resumed.
    :raises PlatformError: one of the machines cannot work here; then none is started.
    :raises MachineError: one broke down.
    """
    for machine in machines:
        check(machine)
    codes: list[int] = []
    outcomes: Outcomes = {}
    try:
        for machine in machines:
            before = set(_folders(results))
            try:
                codes.append(_run_in(machine, arguments, results, json=json))
            finally:
                outcomes[machine.name] = list(_read(results, before, json=json))
            if codes[-1] == _INTERRUPTED:
                break
    finally:
        _conclude(outcomes, json=json)
    codes.append(exit_code(outcome for pairs in outcomes.values() for _, outcome in pairs))
    return next((code for code in _WORST if code in codes), int(any(codes)))


def check(machine: Machine) -> None:
    """Refuse a machine that cannot work here.

    :raises PlatformError: saying why, and what to do.
    """
    found = machine.availability()
    if not found.ok:
        raise PlatformError(
            f"the machine {machine.name} does not work here",
            why=found.why,
            instead=found.remedy or "use another one; `testbed machine list` shows them",
        )


def _run_in(machine: Machine, arguments: Sequence[str], results: Path, *, json: bool) -> int:
    """Run it in one machine; the kernel's messages go to the last result folder."""
    console(stderr=True).print(f"machine: {machine.name}", markup=False)
    results.mkdir(parents=True, exist_ok=True)
    before = set(_folders(results))
    # A guest keeps nothing: each time it would compile what has not been imported here.
    compileall.compile_dir(Path(__file__).parents[1], quiet=2)
    program = Program(
        argv=(sys.executable, "-m", "testbed", "run", "--no-summary", *arguments),
        directory=Path.cwd(),
        environment=os.environ,
        writable=(results.resolve(),),
        output=_STDERR if json else _STDOUT,
    )
    with tempfile.TemporaryDirectory(prefix="testbed-") as scratch:
        log = Path(scratch, "console")
        try:
            return machine.execute(program, console=log)
        except MachineError as error:
            kept = _keep(log, machine, results, before)
            raise MachineError(error.message, hint=f"the whole console: {kept}") from error
        finally:
            if set(_folders(results)) - before:
                _keep(log, machine, results, before)


def _keep(log: Path, machine: Machine, results: Path, before: set[Path]) -> Path:
    """Copy the console to the newest result folder, or beside all if there is no new one."""
    folders = sorted(set(_folders(results)) - before)
    name = machine.name.replace("/", "_")
    kept = folders[-1] / "console.log" if folders else results / f"console-{name}.log"
    if log.exists() and log.stat().st_size:
        shutil.copyfile(log, kept)
    return kept


def _folders(results: Path) -> list[Path]:
    """Return all result folders, or none if ``results`` is one itself."""
    return [file.parent for file in results.glob("*/*/experiment.json")]


def _read(results: Path, before: set[Path], *, json: bool) -> Iterator[tuple[Path, Outcome]]:
    """Sum up here what was measured there: numerical libraries take long to load in emulation."""
    from testbed.results.store import Store

    resumed = [results] if (results / "experiment.json").exists() else []
    for folder in (*sorted(set(_folders(results)) - before), *resumed):
        store = Store.open(folder)
        if resumed or store.runs():
            yield folder, conclude(store, json=json)


def _conclude(outcomes: Outcomes, *, json: bool) -> None:
    from testbed.cli.tables import print_machines

    if json:
        found = [(name, *pair) for name, pairs in outcomes.items() for pair in pairs]
        print_json([{"machine": m, "folder": str(f), "summary": o} for m, f, o in found])
    elif len(outcomes) > 1:
        machines_of: dict[str, dict[str, Outcome]] = {}
        for name, pairs in outcomes.items():
            for _, outcome in pairs:
                machines_of.setdefault(outcome.experiment, {})[name] = outcome
        for experiment, of in machines_of.items():
            print_machines(console(), experiment, of)
