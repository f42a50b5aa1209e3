"""`testbed run --machine M`: runs in machines, with their results side by side."""

from __future__ import annotations

import compileall
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from testbed.cli import campaign
from testbed.cli.output import console
from testbed.errors import PlatformError
from testbed.machine import Machine
from testbed.machine.model import HOST
from testbed.results.environment import Software, software

if TYPE_CHECKING:
    from testbed.campaign.request import Request
    from testbed.cli.side_by_side import Found
    from testbed.experiment.load import Experiment

# Exit codes by priority: the first one here is the result; see testbed.errors.
_WORST: Final = (2, 4, 1, 3)

# A machine and the experiments to run in it; none if a folder is resumed.
Errand = tuple[Machine, Sequence["Experiment"]]


def run(errands: Sequence[Errand], request: Request) -> int:
    """Run experiments in each machine, one after the other; return an exit code.

    :raises PlatformError: a machine cannot work here. Then none is started.
    :raises MachineError: a machine failed.
    """
    from testbed.campaign.runner import check_jobs

    for machine, _ in errands:
        check(machine, others=[other for other, _ in errands if other is not machine])
        check_jobs(request.jobs, machine.name)
    codes: list[int] = []
    every: campaign.Done = []
    found: list[Found] = []
    known = prepared()
    try:
        for machine, experiments in errands:
            console(stderr=True).print(f"machine: {machine.name}")
            done: campaign.Done = []
            try:
                there = None if machine.name == HOST else machine
                campaign.carry_out(request, experiments, done, there, known)
            finally:
                every += done
                found += _measured(machine, done)
            codes.append(campaign.exit_code(request, done))
    finally:
        if request.summary and request.format is None:
            # Imported here, because it loads numerical libraries.
            from testbed.cli import side_by_side

            side_by_side.conclude(found, json=request.json)
        else:
            campaign.print_folders(request, every)
    return next((code for code in _WORST if code in codes), int(any(codes)))


def check(machine: Machine, others: Sequence[Machine] = ()) -> None:
    """Refuse a machine that cannot work here.

    :param others: the machines that work.
    :raises PlatformError: it cannot work here; with the reason and a remedy.
    """
    found = machine.availability()
    if not found.ok:
        remedy = found.remedy or "use another machine; `testbed machine list` lists them"
        rest = " ".join(f"--machine {other.name}" for other in others)
        raise PlatformError(
            f"the machine {machine.name} does not work here",
            why=found.why,
            instead=f"{remedy}, or use only {rest}" if rest else remedy,
        )


def prepared() -> Software:
    """Compile our modules and describe our software, which would be slow in each guest."""
    compileall.compile_dir(Path(__file__).parents[1], quiet=2)
    return software()


def _measured(machine: Machine, done: campaign.Done) -> Iterator[Found]:
    """Return the results of a machine's experiments."""
    from testbed.campaign.sides import of_folder
    from testbed.cli.side_by_side import Found

    for store, outcome in done:
        if outcome is not None:
            side = of_folder(store.path, name=machine.name)
            yield Found(folder=store.path, outcome=outcome, side=side)
