"""The execution of experiments: progress, result folders and results."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.cli.output import print_json, tell, tell_left_out
from testbed.errors import MachineError, StoreError
from testbed.text import clean

if TYPE_CHECKING:
    from testbed.analysis.outcome import Outcome
    from testbed.campaign.cluster import Cluster
    from testbed.campaign.request import Request
    from testbed.experiment.load import Experiment
    from testbed.machine import Machine
    from testbed.results.environment import Software
    from testbed.results.store import Store

# Result folders, each with its outcome if a summary was requested.
Done = list[tuple["Store", "Outcome | None"]]


def run_here(request: Request, experiments: Iterable[Experiment]) -> int:
    """Run experiments on this kernel, or resume one, and return the exit code."""
    from testbed.analysis.registry import broken

    tell_left_out(broken())
    done: Done = []
    try:
        with _cluster(request) as cluster:
            carry_out(request, experiments, done, cluster=cluster)
    finally:
        print_folders(request, done)
    return exit_code(request, done)


@contextlib.contextmanager
def _cluster(request: Request) -> Iterator[Cluster | None]:
    """Yield the cluster of the request, if it has one."""
    if request.on is None:
        yield None
        return
    from testbed.campaign.cluster import connected, site
    from testbed.cli.output import console

    def told(line: str) -> None:
        console(stderr=True).print(clean(line), markup=False, highlight=False, soft_wrap=True)

    with connected(site(request.on), told) as cluster:
        yield cluster


def print_folders(request: Request, done: Done) -> None:
    """Print the outcome as a document for programs, if one was requested."""
    if request.format is not None:
        from testbed.cli.formats import print_tests

        print_tests([(store, it) for store, it in done if it is not None], request.format)
    elif request.json:
        print_json([{"folder": str(store.path), "summary": it} for store, it in done])


def exit_code(request: Request, done: Done) -> int:
    """Return the exit code of experiments."""
    from testbed.cli import conclusion

    if not request.summary:
        return int(any(_failed(store) for store, _ in done))
    return conclusion.exit_code((outcome for _, outcome in done if outcome), strict=request.strict)


def carry_out(
    request: Request,
    experiments: Iterable[Experiment],
    done: Done,
    machine: Machine | None = None,
    known: Software | None = None,
    cluster: Cluster | None = None,
) -> None:
    """Run experiments, or resume one.

    :param done: the list to which the result folders are added, even after an early end.
    :param machine: the machine for the runs, if not this host.
    :param known: the known facts about the programs.
    :param cluster: the cluster whose workers carry them out, instead of this host.
    """
    from testbed.campaign import runner
    from testbed.results.store import Store

    work: Iterable[tuple[Experiment, Store]]
    if request.resume is not None:
        store = Store.open(Path(request.resume))
        away = _is_away(store.environment().machine, machine, cluster)
        work = iter([(runner.resume(store, known, elsewhere=away), store)])
    else:
        root = Path(request.results)
        work = (
            (it, runner.create(it, root, known, elsewhere=_is_away(it.machine, machine, cluster)))
            for it in experiments
        )
    for experiment, store in work:
        # _concluded() may remove the folder, so it must end before the folder is unlocked.
        with store.writing(), _concluded(store, done, request), _console_kept(store, machine):
            _runs(experiment, store, request, machine, known, cluster)
        if request.fail_fast and _failed(store):
            break


def _is_away(place: str, machine: Machine | None, cluster: Cluster | None) -> bool:
    """Return whether runs happen in another environment. Simulations are the same in all."""
    from testbed.experiment.venue import SIMULATION

    return machine is not None or (cluster is not None and place != SIMULATION)


def _failed(store: Store) -> bool:
    from testbed.results.model import Status

    over = store.over(lambda _: None).values()
    return any(entry.status is not Status.OK for entry in over)


def _runs(
    experiment: Experiment,
    store: Store,
    request: Request,
    machine: Machine | None,
    known: Software | None,
    cluster: Cluster | None,
) -> None:
    from testbed.campaign import runner
    from testbed.cli.progress import watcher

    def redone(error: StoreError) -> None:
        tell(StoreError(error.message, hint="that run is done again"))

    for runs in runner.due(experiment, store, again=request.again, on_damage=redone):
        beside = request.jobs if cluster is None else max(1, len(cluster.workers()))
        with watcher(experiment.name, len(runs), beside) as watching:
            runner.carry_out(
                experiment,
                store,
                runs,
                watching,
                fail_fast=request.fail_fast,
                jobs=request.jobs,
                machine=machine,
                known=known,
                cluster=cluster,
            )


@contextlib.contextmanager
def _concluded(store: Store, done: Done, request: Request) -> Iterator[None]:
    """Print the outcome and add it to ``done``, even if the experiment ends early."""
    from testbed.cli.conclusion import conclude

    try:
        yield
    finally:
        if not store.discard_if_empty():
            outcome = conclude(store, quiet=not request.for_people) if request.summary else None
            done.append((store, outcome))


@contextlib.contextmanager
def _console_kept(store: Store, machine: Machine | None) -> Iterator[None]:
    """Print where the console output of a failed machine is; keep it if the folder is removed."""
    try:
        yield
    except MachineError as error:
        if machine is None or not store.console.exists():
            raise
        kept = store.console
        if not store.over(lambda _: None):
            name = machine.name.replace("/", "_")
            kept = store.path.parents[1] / f"console-{name}.log"
            shutil.copyfile(store.console, kept)
        raise MachineError(error.message, hint=f"the whole console: {kept}") from error
