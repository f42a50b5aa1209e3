"""The plan of the runs that a publication needs. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

import msgspec

from testbed.errors import InputError
from testbed.experiment.spec import CASE
from testbed.hints import nearest
from testbed.papers.judging import needed
from testbed.papers.load import Paper, PaperExperiment
from testbed.papers.spec import Side

ALL: Final = None


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of the stacks of one side in one experiment.

    :param cells: the identities of the cells to run, or ``None`` for all.
    :param repetitions: the repetitions of each cell, or ``None`` for those of the file.
    """

    paper: Paper
    experiment: PaperExperiment
    side: Side
    cells: frozenset[str] | None = ALL
    repetitions: int | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The selection of the runs of publications.

    :param side: the side whose stacks are run, or ``None`` for both.
    :param quick: whether to run only the first claim of each publication, with one run of each cell
        that decides it.
    :param experiments: the names of the experiments to run; all if empty.
    :param sample: the maximum number of cases of an experiment, or ``None`` for the publication's.
    :param full: whether to run all cases.
    :param repetitions: the repetitions of each cell, or ``None`` for those of the files.
    """

    side: Side | None = None
    quick: bool = False
    experiments: tuple[str, ...] = ()
    sample: int | None = None
    full: bool = False
    repetitions: int | None = None


def errands(papers: Sequence[Paper], wanted: Wanted) -> list[Errand]:
    """Return the runs to do, in the order of the publications.

    :raises InputError: no experiment has the name.
    """
    names = [name for paper in papers for name in paper.experiments]
    for name in wanted.experiments:
        if name not in names:
            raise InputError(f"there is no experiment {name!r}", hint=nearest(name, names))
    found = [
        errand
        for paper in papers
        for side in ([*Side] if wanted.side is None else [wanted.side])
        for errand in (_quick if wanted.quick else _whole)(paper, side, wanted)
        if not wanted.experiments or errand.experiment.name in wanted.experiments
    ]
    if wanted.repetitions is None:
        return found
    return [msgspec.structs.replace(errand, repetitions=wanted.repetitions) for errand in found]


def _whole(paper: Paper, side: Side, wanted: Wanted) -> list[Errand]:
    size = None if wanted.full else wanted.sample or paper.published.sample
    return [
        Errand(paper=paper, experiment=experiment, side=side, cells=_some(experiment, size))
        for experiment in paper.experiments.values()
        if experiment.stacks(side)
    ]


def _some(experiment: PaperExperiment, size: int | None) -> frozenset[str] | None:
    if size is None or size >= len(experiment.spec.cases):
        return ALL
    return _sample(experiment, frozenset(cell.identity for cell in experiment.cells), size)


def _quick(paper: Paper, side: Side, wanted: Wanted) -> list[Errand]:
    size = wanted.sample or paper.published.quick
    first = next(iter(paper.published.claims))
    return [
        Errand(
            paper=paper,
            experiment=paper.experiments[name],
            side=side,
            cells=_sample(paper.experiments[name], cells, size),
            repetitions=1,
        )
        for name, cells in needed(paper, first, side).items()
    ]


def _sample(experiment: PaperExperiment, cells: frozenset[str], size: int | None) -> frozenset[str]:
    """Return the cells of ``size`` cases, which the seed of the experiment chooses."""
    cases = [*experiment.spec.cases]
    if size is None or size >= len(cases):
        return cells
    chosen = set(random.Random(experiment.spec.seed).sample(cases, size))
    return frozenset(
        cell.identity
        for cell in experiment.cells
        if cell.identity in cells and cell.parameters.get(CASE) in chosen
    )
