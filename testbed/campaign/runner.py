"""An experiment from its first run to its last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from testbed.analysis.claims import ExpectSpec
from testbed.analysis.derive import derived
from testbed.analysis.outcome import Outcome, outcome
from testbed.analysis.registry import added
from testbed.analysis.sequential import Looks, follow
from testbed.campaign.executors import Executor, InOrder, SideBySide, Writer
from testbed.campaign.jobs import Definition, Job
from testbed.campaign.watching import Watcher
from testbed.document import nearest
from testbed.errors import InputError
from testbed.experiment.asked import asked
from testbed.experiment.load import Experiment, read_spec, restore
from testbed.experiment.matrix import PlannedRun, schedule
from testbed.experiment.plugins import used
from testbed.experiment.venue import SIMULATION
from testbed.results.environment import Software, gather
from testbed.results.model import RunRecord, Status
from testbed.results.store import Store, now


def create(
    experiment: Experiment,
    root: Path,
    known: Software | None = None,
    created_at: str | None = None,
) -> Store:
    """Make the result folder.

    :param known: of the programs, if it has been found out.
    :param created_at: what names the folder, UTC, ISO 8601; by default now.  A virtual clock says
        the same each time.
    :raises InputError: it cannot be written.
    """
    record = Definition.of(experiment).record(created_at or now())
    record = msgspec.structs.replace(record, metrics=added())
    return Store.create(root, record, gather(experiment.machine, known, used(experiment)))


def resume(store: Store, known: Software | None = None) -> Experiment:
    """Return the experiment of a result folder, to do the rest of it.

    :param known: as for :func:`create`.
    :raises InputError: this is not the environment its runs were made in, so that they could not
        be compared.
    """
    environment = store.environment()
    experiment = restore(store.experiment(), environment.machine)
    now_here = gather(environment.machine, known, used(experiment))
    differences = environment.differences(now_here)
    if differences:
        raise InputError(
            f"{store.path} was measured in another environment: {'; '.join(differences)}",
            hint="start the experiment anew",
        )
    return experiment


def missing(experiment: Experiment, store: Store, *, again: bool) -> tuple[PlannedRun, ...]:
    """Return the runs that are still to do, in order.

    :param again: also those that failed or were invalid.
    """
    over = store.over()
    wanted = _wanted(experiment, store)
    done = {number for number, it in over.items() if not again or it.status is Status.OK}
    return tuple(run for run in plan(experiment, wanted) if run.number not in done)


def due(
    experiment: Experiment, store: Store, *, again: bool = False
) -> Iterator[tuple[PlannedRun, ...]]:
    """Yield the runs that are to do, a block after the other until nothing is left to decide.

    :param again: first of all also those that failed or were invalid.
    """
    runs = missing(experiment, store, again=again)
    while runs:
        yield runs
        left = missing(experiment, store, again=False)
        if left and left[0].number <= runs[-1].number:
            return  # they were stopped
        runs = left


def _wanted(experiment: Experiment, store: Store) -> int:
    """Return how many repetitions there are to be, as far as one knows by now."""
    about = asked(experiment.name, experiment.spec, experiment.machine)
    if about.most is None:
        return about.repetitions
    return follow(about, Looks(block=about.repetitions, most=about.most), store.runs()).repetitions


def plan(experiment: Experiment, repetitions: int | None = None) -> tuple[PlannedRun, ...]:
    """Return all runs of an experiment, in order.

    :param repetitions: of each cell; by default as many as are done in any case.
    """
    wanted = repetitions or experiment.spec.repetitions
    return schedule(experiment.cells, wanted, experiment.spec.seed)


def carry_out(
    experiment: Experiment,
    store: Store,
    runs: Sequence[PlannedRun],
    watcher: Watcher,
    *,
    fail_fast: bool,
    jobs: int = 1,
) -> None:
    """Carry out runs, and store each as soon as it is over.

    :param store: nobody else writes there (:meth:`Store.writing`).
    :param fail_fast: stop after the first one that failed or is invalid.
    :param jobs: how many at a time; more than one only where time is virtual.
    :raises InputError: the runs would disturb one another.
    :raises TestbedError: no further run is possible; what was stored stays.
    """
    if jobs > 1 and experiment.machine != SIMULATION:
        raise InputError(
            f"{jobs} runs at a time would disturb one another on {experiment.machine}",
            hint="--jobs is for simulations: add --sim",
        )
    executor: Executor = InOrder(experiment) if jobs == 1 else SideBySide(jobs)
    definition = Definition.of(experiment)
    executor.carry_out(
        [Job(definition=definition, run=run) for run in runs],
        Writer(store, watcher, fail_fast=fail_fast),
    )


def least_seconds(experiment: Experiment, runs: Sequence[PlannedRun]) -> float:
    """Return how long runs take at least: what their flows and events last.

    :raises InputError: values of the matrix do not go together.
    """
    lasting: dict[str, int] = {}
    for run in runs:
        if run.cell.identity not in lasting:
            scenario = experiment.scenario(run.cell)
            ends = [planned.flow.workload.longest_ns for planned in scenario.flows]
            ends += [action.at_ns for action in scenario.timeline]
            lasting[run.cell.identity] = max(ends, default=0)
    return sum(lasting[run.cell.identity] for run in runs) / 1e9


def conclude(
    store: Store, metrics: Sequence[str] = (), claims: Sequence[ExpectSpec] | None = None
) -> Outcome:
    """Sum up what is in a result folder.

    :param metrics: to show, instead of those the workload is mostly run for.
    :param claims: to judge, instead of those of the experiment.
    :raises StoreError: it cannot be read.
    :raises InputError: no run has one of the metrics.
    """
    record = store.experiment()
    about = asked(record.name, read_spec(record), store.environment().machine)
    about = msgspec.structs.replace(about, own=record.metrics | about.own)
    if metrics:
        about = msgspec.structs.replace(about, headline=tuple(metrics))
    if claims is not None:
        about = msgspec.structs.replace(about, claims=tuple(claims))
    return outcome(about, records(store, (*metrics, *(claim.name for claim in claims or ()))))


def records(store: Store, metrics: Sequence[str] = ()) -> Sequence[RunRecord]:
    """Return the runs of a folder, with metrics that must be there.

    Numbers that were not derived when the runs were stored are derived now.

    :raises StoreError: it cannot be read.
    :raises InputError: no run has one of the metrics.
    """
    runs = store.runs()
    if not metrics or _missing(runs, metrics) is None:
        return runs
    runs = [derived(run, store.series(run.number)) for run in runs]
    lost = _missing(runs, metrics)
    if lost is not None:
        there = sorted({name for run in runs for name in run.metrics})
        raise InputError(f"no run here has the metric {lost!r}", hint=nearest(lost, there))
    return runs


def _missing(runs: Sequence[RunRecord], metrics: Sequence[str]) -> str | None:
    there = {name for run in runs for name in run.metrics}
    return next((name for name in metrics if name not in there), None)
