"""`testbed run --machine M`: the same command inside machines, and what came out side by side."""

from __future__ import annotations

import compileall
import contextlib
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from testbed.cli.conclusion import conclude, exit_code
from testbed.cli.ending import INTERRUPTED
from testbed.cli.output import console
from testbed.errors import MachineError, PlatformError
from testbed.machine import Machine, Program
from testbed.results.environment import Software, software
from testbed.results.store import Store, now

if TYPE_CHECKING:
    from testbed.campaign.request import Request
    from testbed.cli.side_by_side import Found

_STDOUT, _STDERR = 1, 2
# Of several exit codes the first of these that occurs is ours; see testbed.errors.
_WORST: Final = (130, 2, 4, 1, 3)

# A machine, and what is to be done in there.
Errand = tuple[Machine, "Request"]


def run(errands: Sequence[Errand]) -> int:
    """Run experiments in each machine, one after the other; return an exit code.

    :raises PlatformError: one of the machines cannot work here; then none is started.
    :raises MachineError: one broke down.
    """
    for machine, _ in errands:
        check(machine, others=[other for other, _ in errands if other is not machine])
    strict = any(request.strict for _, request in errands)
    codes: list[int] = []
    found: list[Found] = []
    known = _prepared()
    try:
        for machine, errand in errands:
            request = msgspec.structs.replace(errand, software=known)
            results = _results(request)
            made: list[Path] = []
            try:
                codes.append(run_in(machine, request, results, made))
            finally:
                found += _read(machine, made, json=request.json)
            if codes[-1] == INTERRUPTED:
                break
    finally:
        # Imported only now, as it loads numerical libraries.
        from testbed.cli import side_by_side

        side_by_side.conclude(found, json=errands[0][1].json)
    codes.append(exit_code((each.outcome for each in found), strict=strict))
    return next((code for code in _WORST if code in codes), int(any(codes)))


def check(machine: Machine, others: Sequence[Machine] = ()) -> None:
    """Refuse a machine that cannot work here.

    :param others: those one could go on with.
    :raises PlatformError: saying why, and what to do.
    """
    found = machine.availability()
    if not found.ok:
        remedy = found.remedy or "use another one; `testbed machine list` shows them"
        rest = " ".join(f"--machine {other.name}" for other in others)
        raise PlatformError(
            f"the machine {machine.name} does not work here",
            why=found.why,
            instead=f"{remedy}, or go on with {rest}" if rest else remedy,
        )


def _prepared() -> Software:
    """Compile our modules and describe our software, which each guest would do again and slowly."""
    compileall.compile_dir(Path(__file__).parents[1], quiet=2)
    return software()


def _results(request: Request) -> Path:
    """Return where result folders appear, or the one folder that is resumed."""
    return Path(request.resume or request.results)


def run_in(machine: Machine, request: Request, results: Path, made: list[Path]) -> int:
    """Run it in one machine; the kernel's messages go to the last result folder.

    :param made: gets the result folders that the guest made, or the resumed one.
    """
    console(stderr=True).print(f"machine: {machine.name}")
    results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="testbed-") as scratch, _ledger(results) as ledger:
        inside = msgspec.structs.replace(
            request, summary=False, json=False, ledger=str(ledger), created_at=now()
        )
        program = Program(
            argv=(sys.executable, "-m", "testbed.cli.here", msgspec.json.encode(inside).decode()),
            directory=Path.cwd(),
            environment=os.environ,
            writable=(results.resolve(),),
            output=_STDERR if request.json else _STDOUT,
        )
        log = Path(scratch, "console")
        try:
            return machine.execute(program, console=log)
        except MachineError as error:
            made += _made(ledger, request)
            kept = _keep(log, machine, results, made)
            raise MachineError(error.message, hint=f"the whole console: {kept}") from error
        finally:
            made[:] = _made(ledger, request)
            if made:
                _keep(log, machine, results, made)


@contextlib.contextmanager
def _ledger(results: Path) -> Iterator[Path]:
    """Yield the path of a file for the guest to write to; remove the file at the end."""
    ledger = results / f".made-{uuid.uuid4().hex}"
    try:
        yield ledger
    finally:
        ledger.unlink(missing_ok=True)


def _made(ledger: Path, request: Request) -> list[Path]:
    """Return the folders with the results of a request: the resumed one, or those just made."""
    if request.resume is not None:
        return [Path(request.resume)]
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    return [folder for folder in map(Path, lines) if (folder / "experiment.json").exists()]


def _keep(log: Path, machine: Machine, results: Path, made: Sequence[Path]) -> Path:
    """Copy the console to the newest result folder, or to the results folder if there is none."""
    name = machine.name.replace("/", "_")
    kept = made[-1] / "console.log" if made else results / f"console-{name}.log"
    if log.exists() and log.stat().st_size:
        shutil.copyfile(log, kept)
    return kept


def _read(machine: Machine, made: Sequence[Path], *, json: bool) -> Iterator[Found]:
    """Sum up here what was measured there: numerical libraries take long to load in emulation."""
    from testbed.campaign.sides import of_folder
    from testbed.cli.side_by_side import Found

    for folder in made:
        store = Store.open(folder)
        if store.over():
            outcome = conclude(store, json=json)
            yield Found(folder=folder, outcome=outcome, side=of_folder(folder, name=machine.name))
