"""The execution of an experiment, from the first run to the last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from testbed.analysis.claims import ExpectSpec
from testbed.analysis.derive import derived
from testbed.analysis.outcome import Outcome, outcome
from testbed.analysis.registry import added
from testbed.analysis.sequential import Looks, follow
from testbed.campaign.executors import InOrder, Writer, check_environment
from testbed.campaign.jobs import Definition, Job
from testbed.campaign.watching import Watcher
from testbed.errors import InputError, StoreError
from testbed.experiment import files
from testbed.experiment.asked import asked, is_deterministic
from testbed.experiment.load import Experiment, read_spec, restore
from testbed.experiment.matrix import PlannedRun, schedule
from testbed.experiment.plugins import used
from testbed.experiment.scenario import is_of_flows
from testbed.experiment.venue import SIMULATION
from testbed.hints import nearest
from testbed.machine.model import HOST, VIRTUAL_TIME, Machine
from testbed.results.environment import Software, gather, software
from testbed.results.model import RunRecord, Scalar, Status
from testbed.results.store import OnDamage, Store, now

if TYPE_CHECKING:
    from testbed.campaign.cluster import Cluster


def create(
    experiment: Experiment,
    root: Path,
    known: Software | None = None,
    *,
    elsewhere: bool = False,
) -> Store:
    """Make the result folder.

    :param known: the known facts about the programs, if any.
    :param elsewhere: whether the runs happen elsewhere, so that the place reports its environment.
    :raises InputError: the folder cannot be written.
    """
    record = Definition.of(experiment).record(now())
    record = msgspec.structs.replace(record, metrics=added())
    here = gather(experiment.machine, known, used(experiment)) if not elsewhere else None
    return Store.create(root, record, here, files=files.named(record.spec))


def resume(store: Store, known: Software | None = None, *, elsewhere: bool = False) -> Experiment:
    """Return the experiment of a result folder, to continue it.

    If files that it names are missing or have changed, it names the copies in the folder.

    :param known: as for :func:`create`, as is ``elsewhere``.
    :raises InputError: its runs were made in another environment, so that new runs would not be
        comparable.
    """
    environment = store.environment()
    record = store.experiment()
    read_spec(record)  # the names of files are read from data of the right types
    spec = files.from_copies(record.spec, store.copies(files.named(record.spec)))
    experiment = restore(msgspec.structs.replace(record, spec=spec), environment.machine)
    if not elsewhere:
        check_environment(store, gather(environment.machine, known, used(experiment)))
    return experiment


def missing(
    experiment: Experiment, store: Store, *, again: bool, on_damage: OnDamage | None = None
) -> tuple[PlannedRun, ...]:
    """Return the runs that are still to do, in order.

    :param again: whether to include those that failed or were invalid.
    :param on_damage: a function that receives the errors of damaged files, whose runs are to do.
    :raises StoreError: a file cannot be read.
    """
    runs = store.runs(on_damage)
    wanted = _wanted(experiment, runs)
    done = {it.number for it in runs if not again or it.status is Status.OK}
    return tuple(run for run in plan(experiment, wanted) if run.number not in done)


def due(
    experiment: Experiment,
    store: Store,
    *,
    again: bool = False,
    on_damage: OnDamage | None = None,
) -> Iterator[tuple[PlannedRun, ...]]:
    """Yield the runs to do, block after block until everything is decided.

    :param again: whether to repeat first the runs that failed or were invalid.
    :param on_damage: as for :func:`missing`.
    """
    runs = missing(experiment, store, again=again, on_damage=on_damage)
    while runs:
        yield runs
        left = missing(experiment, store, again=False)
        if left and left[0].number <= runs[-1].number:
            return  # the runs were stopped
        runs = left


def _wanted(experiment: Experiment, runs: Sequence[RunRecord]) -> int:
    """Return how many repetitions are needed after the finished runs."""
    about = asked(experiment.name, experiment.spec, experiment.machine)
    if about.most is None:
        return about.repetitions
    return follow(about, Looks(block=about.repetitions, most=about.most), runs).repetitions


def plan(experiment: Experiment, repetitions: int | None = None) -> tuple[PlannedRun, ...]:
    """Return all runs of an experiment, in order.

    :param repetitions: the repetitions of each cell; by default the minimum.
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
    machine: Machine | None = None,
    known: Software | None = None,
    cluster: Cluster | None = None,
) -> None:
    """Carry out runs, and store each when it is finished.

    :param store: the result folder, locked for this process (:meth:`Store.writing`).
    :param fail_fast: whether to stop after the first run that failed or is invalid.
    :param jobs: the number of simultaneous runs; more than one only in virtual time.
    :param machine: the machine for the runs, if not this host.
    :param known: the known facts about the programs, if any.
    :param cluster: the cluster whose workers carry them out, instead of this host.
    :raises InputError: the runs would disturb one another.
    :raises TestbedError: no further run is possible; stored runs stay.
    """
    check_jobs(jobs, experiment.machine if machine is None else machine.name)
    definition = Definition.of(experiment)
    if machine is not None:  # inside the machine, it is the host
        definition = msgspec.structs.replace(definition, machine=HOST)
    work = [Job(definition=definition, run=run) for run in runs]
    writer = Writer(store, watcher, fail_fast=fail_fast)
    try:
        if cluster is not None and work:
            _on_cluster(experiment, store, work, writer, cluster)
        elif machine is None and jobs == 1:
            InOrder(experiment).carry_out(work, writer)
        elif work:
            _side_by_side(experiment, work, writer, jobs, machine, known)
    except StoreError as error:
        raise StoreError(error.message, hint=error.hint or store.advice) from error


def _side_by_side(
    experiment: Experiment,
    work: Sequence[Job],
    writer: Writer,
    jobs: int,
    machine: Machine | None,
    known: Software | None,
) -> None:
    from testbed.campaign import hands  # noqa: PLC0415 - multiprocessing takes milliseconds
    from testbed.campaign.side_by_side import SideBySide  # noqa: PLC0415 - likewise

    jobs = min(jobs, len(work))
    if machine is None:
        SideBySide([hands.Simulator() for _ in range(jobs)]).carry_out(work, writer)
        return
    alone, about = is_deterministic(machine.name), known or software()
    guests = [
        hands.Guest(machine, about, used(experiment), alone=alone, processor=number)
        for number in range(jobs)
    ]
    SideBySide(guests).carry_out(work, writer)


def _on_cluster(
    experiment: Experiment, store: Store, work: Sequence[Job], writer: Writer, cluster: Cluster
) -> None:
    from testbed.campaign.at_worker import Question, digests  # noqa: PLC0415 - few need it
    from testbed.campaign.fitness import Fitness  # noqa: PLC0415 - likewise
    from testbed.campaign.side_by_side import SideBySide  # noqa: PLC0415 - likewise
    from testbed.campaign.workers import Workers  # noqa: PLC0415 - likewise

    known = digests(files.named(experiment.raw))
    question = Question(definition=Definition.of(experiment), files=known)
    here = store.environment() if experiment.machine == SIMULATION else None
    SideBySide([Workers(cluster, question, Fitness(here))]).carry_out(work, writer)


def check_jobs(jobs: int, machine: str) -> None:
    """Refuse simultaneous runs in real time.

    :param machine: the machine for the runs.
    :raises InputError: they would disturb one another.
    """
    virtual = machine == SIMULATION or machine.endswith(VIRTUAL_TIME)
    if jobs > 1 and not virtual:
        raise InputError(
            f"--jobs {jobs}: {jobs} runs at a time would disturb one another on {machine}",
            hint="add --sim, or use a machine with --virtual-time",
        )


def least_seconds(experiment: Experiment, runs: Sequence[PlannedRun]) -> float:
    """Return the minimum time of runs: the duration of their flows and events.

    Cells whose flows have the same parameters take the same time.

    :raises InputError: values of the matrix are incompatible.
    """
    lasting: dict[tuple[tuple[str, Scalar], ...], int] = {}
    total_ns = 0
    for run in runs:
        alike = tuple(it for it in run.cell.parameters.items() if is_of_flows(it[0]))
        if alike not in lasting:
            scenario = experiment.scenario(run.cell)
            ends = [planned.flow.workload.longest_ns for planned in scenario.flows]
            ends += [action.at_ns for action in scenario.timeline]
            lasting[alike] = max(ends, default=0)
        total_ns += lasting[alike]
    return total_ns / 1e9


def conclude(
    store: Store,
    metrics: Sequence[str] = (),
    claims: Sequence[ExpectSpec] | None = None,
    on_damage: OnDamage | None = None,
) -> Outcome:
    """Summarise a result folder.

    :param metrics: the metrics to show, instead of the main ones of the workload.
    :param claims: the claims to judge, instead of those of the experiment.
    :param on_damage: a function that receives the errors of damaged run files, which are else
        raised.
    :raises StoreError: the folder cannot be read.
    :raises InputError: no run has one of the metrics.
    """
    record = store.experiment()
    about = asked(record.name, read_spec(record), store.environment().machine)
    about = msgspec.structs.replace(about, own=record.metrics | about.own)
    if metrics:
        about = msgspec.structs.replace(about, headline=tuple(metrics))
    if claims is not None:
        about = msgspec.structs.replace(about, claims=tuple(claims))
    needed = (*metrics, *(claim.name for claim in claims or ()))
    return outcome(about, records(store, needed, on_damage))


def records(
    store: Store, metrics: Sequence[str] = (), on_damage: OnDamage | None = None
) -> Sequence[RunRecord]:
    """Return the runs of a folder, with the required metrics.

    Metrics that were not derived when the runs were stored are derived now.

    :param on_damage: as for :func:`conclude`.
    :raises StoreError: the folder cannot be read.
    :raises InputError: no run has one of the metrics.
    """
    runs = store.runs(on_damage)
    if not metrics or _missing(runs, metrics) is None:
        return runs
    runs = [derived(run, store.series(run.number, on_damage)) for run in runs]
    lost = _missing(runs, metrics)
    if lost is not None:
        there = sorted({name for run in runs for name in run.metrics})
        raise InputError(f"no run here has the metric {lost!r}", hint=nearest(lost, there))
    return runs


def _missing(runs: Sequence[RunRecord], metrics: Sequence[str]) -> str | None:
    there = {name for run in runs for name in run.metrics}
    return next((name for name in metrics if name not in there), None)
