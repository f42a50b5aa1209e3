"""An experiment from its first run to its last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import msgspec

from testbed import __version__
from testbed.analysis.outcome import Outcome, outcome
from testbed.errors import InputError
from testbed.experiment.asked import asked
from testbed.experiment.load import Experiment, read_spec, restore
from testbed.experiment.matrix import PlannedRun, schedule
from testbed.experiment.venue import SIMULATION, Assignment, venue
from testbed.machine.model import VIRTUAL_TIME
from testbed.results.environment import Software, gather
from testbed.results.model import ExperimentRecord, RunRecord, Status
from testbed.results.store import Store
from testbed.workload.result import Progress

_NO_COST: Final = "on a virtual clock: no cost of computing is in these numbers"


class Watcher(Protocol):
    """Is told how far an experiment is."""

    def begin(self, run: PlannedRun) -> None:
        """A run begins."""

    def progress(self, progress: Progress) -> None:
        """Its workload got this far."""

    def end(self, record: RunRecord) -> None:
        """It is over and stored."""


def create(experiment: Experiment, root: Path, known: Software | None = None) -> Store:
    """Make the result folder.

    :param known: of the programs, if it has been found out.
    :raises InputError: it cannot be written.
    """
    record = ExperimentRecord(
        name=experiment.name,
        topology=experiment.topology,
        spec=experiment.raw,
        created_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        version=__version__,
    )
    return Store.create(root, record, gather(experiment.machine, known))


def resume(store: Store, known: Software | None = None) -> Experiment:
    """Return the experiment of a result folder, to do the rest of it.

    :param known: as for :func:`create`.
    :raises InputError: this is not the environment its runs were made in, so that they could not
        be compared.
    """
    environment = store.environment()
    differences = environment.differences(gather(environment.machine, known))
    if differences:
        raise InputError(
            f"{store.path} was measured in another environment: {'; '.join(differences)}",
            hint="start the experiment anew",
        )
    return restore(store.experiment(), environment.machine)


def missing(experiment: Experiment, store: Store, *, again: bool) -> tuple[PlannedRun, ...]:
    """Return the runs that are still to do, in order.

    :param again: also those that failed or were invalid.
    """
    done = {run.number for run in store.runs() if not again or run.status is Status.OK}
    return tuple(run for run in plan(experiment) if run.number not in done)


def plan(experiment: Experiment) -> tuple[PlannedRun, ...]:
    """Return all runs of an experiment, in order."""
    return schedule(experiment.cells, experiment.spec.repetitions, experiment.spec.seed)


def carry_out(
    experiment: Experiment,
    store: Store,
    runs: Sequence[PlannedRun],
    watcher: Watcher,
    *,
    fail_fast: bool,
) -> None:
    """Carry out runs one after the other, and store each as soon as it is over.

    :param fail_fast: stop after the first one that failed or is invalid.
    :raises TestbedError: no further run is possible; what was stored stays.
    """
    run_once = venue(experiment.machine).run_once
    for run in runs:
        watcher.begin(run)
        directory = store.begin_run(run.number)
        assignment = Assignment(
            spec=experiment.spec,
            scenario=experiment.scenario(run.cell),
            planned=run,
            directory=directory,
            on_progress=watcher.progress,
        )
        done = run_once(assignment)
        store.finish_run(done.record, done.files)
        watcher.end(done.record)
        if fail_fast and done.record.status is not Status.OK:
            return


def conclude(store: Store) -> Outcome:
    """Sum up what is in a result folder.

    :raises StoreError: it cannot be read.
    """
    record = store.experiment()
    summed_up = outcome(asked(record.name, read_spec(record)), store.runs())
    machine = store.environment().machine
    virtual = machine == SIMULATION or machine.endswith(VIRTUAL_TIME)
    return msgspec.structs.replace(summed_up, remarks=(_NO_COST,) if virtual else ())
