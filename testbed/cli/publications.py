"""The execution of publications: make or continue folders, do runs, and read values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from testbed.cli.output import console, tell, write_file
from testbed.errors import InputError, PlatformError, StoreError

if TYPE_CHECKING:
    from testbed.experiment.load import Experiment
    from testbed.machine import Machine
    from testbed.papers.judging import JudgedPaper
    from testbed.papers.load import Paper
    from testbed.papers.measured import Measured, MeasuredSide
    from testbed.papers.plan import Errand
    from testbed.results.environment import Software
    from testbed.results.store import Store

PAGE: Final = "report.html"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options for running publications and writing their values.

    :param results: the directory for result folders, in ``PUBLICATION/SIDE/EXPERIMENT``, and pages.
    :param resume: whether to continue the newest folder of the same experiment, if it exists.
    :param again: whether to repeat, with ``resume``, the runs that do not count.
    :param keep: whether to store the values beside the publication as well.
    :param json: whether to print a document for programs.
    """

    results: Path
    jobs: int = 1
    resume: bool = False
    again: bool = False
    keep: bool = False
    json: bool = False


class Results(msgspec.Struct, kw_only=True):
    """The outcome of the publications.

    :ivar measured: the values measured in these runs, by publication.
    :ivar lacking: the errands that this machine cannot do.
    """

    measured: dict[str, Measured]
    lacking: list[PlatformError]


def carry_out(errands: Sequence[Errand], options: Options) -> Results:
    """Run all errands. Those that this machine cannot do are skipped and reported.

    The values of each are stored below ``options.results`` when it is finished.

    :raises StoreError: stored values cannot be read or extended. Then nothing is run.
    """
    from testbed.papers.measured import Measured

    _check_kept(errands, options)
    found = Results(measured={}, lacking=[])
    for errand in errands:
        try:
            side = _side(errand, options)
        except PlatformError as error:
            if str(error) not in map(str, found.lacking):
                tell(error)
            found.lacking.append(error)
            continue
        name = errand.paper.name
        found.measured[name] = found.measured.get(name, Measured()).joined([side])
        _keep(options.results / name, [side])
    return found


def _check_kept(errands: Sequence[Errand], options: Options) -> None:
    """Read the values to extend. Raises StoreError also if they cannot be written."""
    from testbed.papers import measured

    for name, folder in {errand.paper.name: errand.paper.folder for errand in errands}.items():
        measured.read(options.results / name)
        if options.keep:
            measured.read(folder)
            measured.check_writable(folder)


def keep(papers: Sequence[Paper], found: Results) -> None:
    """Add the results to those stored beside the publications. Raises StoreError."""
    for paper in papers:
        if paper.name in found.measured:
            path = _keep(paper.folder, found.measured[paper.name].sides)
            console(stderr=True).print(f"Kept: {path}", soft_wrap=True)


def _keep(folder: Path, sides: Sequence[MeasuredSide]) -> Path:
    from testbed.papers import measured

    _made(folder)
    return measured.write(folder, measured.read(folder).joined(sides))


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"results cannot be written to {folder}: {error.strerror}",
            hint="choose another --results",
        ) from error
    return folder


def pages(found: Sequence[tuple[Paper, Measured, JudgedPaper]], results: Path) -> Path | None:
    """Write a page for each publication and an index of them, and return the index.

    The result is ``None`` if the libraries for pages are not installed, which is reported.
    """
    from testbed.report.publication import index_of, page_of

    folders = {}
    try:
        for paper, values, verdicts in found:
            folder = _made(results / paper.name)
            write_file(folder / PAGE, page_of(paper, values, verdicts))
            folders[paper.name] = f"{paper.name}/{PAGE}"
        index = results / PAGE
        write_file(index, index_of([verdicts for *_, verdicts in found], folders))
    except PlatformError as error:
        tell(error)
        return None
    return index if len(found) > 1 else results / next(iter(folders.values()))


def _side(errand: Errand, options: Options) -> MeasuredSide:
    """Run one errand, and return the results in its folder."""
    from testbed.papers.measured import measured

    machine, known = _place(errand)
    experiment = _experiment(errand, machine)
    store = _store(errand, experiment, options, machine, known)
    with store.writing():
        _runs(errand, experiment, store, options, machine, known)
    return measured(
        errand.paper,
        errand.experiment,
        errand.side,
        store.experiment(),
        store.environment(),
        store.runs(),
    )


def _place(errand: Errand) -> tuple[Machine | None, Software | None]:
    """Return the machine of an errand, if it is not this one, and our software."""
    from testbed.cli import elsewhere
    from testbed.experiment.venue import SIMULATION
    from testbed.machine import machine
    from testbed.machine.model import HOST

    name = errand.experiment.machine(errand.side)
    if name in (SIMULATION, HOST):
        return None, None
    guest = machine(name)
    elsewhere.check(guest)
    return guest, elsewhere.prepared()


def _experiment(errand: Errand, machine: Machine | None) -> Experiment:
    from testbed.experiment.asked import is_deterministic
    from testbed.experiment.load import load
    from testbed.experiment.overrides import Overrides
    from testbed.experiment.venue import SIMULATION
    from testbed.machine.model import HOST

    name = errand.experiment.machine(errand.side)
    changes = Overrides(
        machine=SIMULATION if name == SIMULATION else HOST,
        elsewhere=machine is not None,
        virtual_time=is_deterministic(name),
        stacks=errand.experiment.stacks(errand.side),
        repetitions=errand.repetitions,
    )
    return load(errand.experiment.path, changes)


def _store(
    errand: Errand,
    experiment: Experiment,
    options: Options,
    machine: Machine | None,
    known: Software | None,
) -> Store:
    """Return the newest folder of the same experiment, or a new one."""
    from testbed.campaign import runner

    root = options.results / errand.paper.name / errand.side
    old = _newest(root, experiment) if options.resume else None
    if old is not None:
        try:
            runner.resume(old, known, elsewhere=machine is not None)
        except InputError as error:
            tell(error)
        else:
            return old
    return runner.create(experiment, root, known, elsewhere=machine is not None)


def _newest(root: Path, experiment: Experiment) -> Store | None:
    from testbed.campaign.jobs import Definition
    from testbed.results.store import Store

    digest = Definition.of(experiment).record(created_at="").digest
    for folder in sorted((root / experiment.name).glob("*/experiment.json"), reverse=True):
        try:
            store = Store.open(folder.parent)
            if store.experiment().digest == digest and store.described:
                return store
        except StoreError as error:
            tell(error)
    return None


def _runs(
    errand: Errand,
    experiment: Experiment,
    store: Store,
    options: Options,
    machine: Machine | None,
    known: Software | None,
) -> None:
    from testbed.campaign import runner
    from testbed.cli.progress import watcher
    from testbed.experiment.asked import is_deterministic

    missing = runner.missing(experiment, store, again=options.again, on_damage=tell)
    runs = [run for run in missing if errand.cells is None or run.cell.identity in errand.cells]
    title = f"{errand.paper.name}, {experiment.name}, {errand.side}"
    place = experiment.machine if machine is None else machine.name
    jobs = options.jobs if is_deterministic(place) else 1  # runs in real time disturb one another
    with watcher(title, len(runs), jobs) as watching:
        runner.carry_out(
            experiment,
            store,
            runs,
            watching,
            fail_fast=False,
            jobs=jobs,
            machine=machine,
            known=known,
        )
