"""The measured values of each cell, in a file that is kept in git.

The file contains no verdicts. They are computed from the values and the expectations of the
experiments, so an outdated verdict cannot remain.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from testbed.analysis.samples import Samples
from testbed.errors import StoreError
from testbed.papers.load import Paper, PaperExperiment
from testbed.papers.spec import Side
from testbed.replacing import replace_file
from testbed.results.environment import Checkout, Environment
from testbed.results.model import ExperimentRecord, RunRecord, Scalar, Status, identity
from testbed.results.versioned import decoded

NAME: Final = "measured.json"
SCHEMA: Final = 1


class MeasuredCell(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of one cell.

    :param values: the values of each metric, one for each run that counts.
    :param wrong: the reasons why runs do not count.
    """

    stack: str
    parameters: dict[str, Scalar]
    values: dict[str, tuple[float, ...]]
    wrong: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """The identity of the cell, as text."""
        return identity(self.stack, self.parameters)


class MeasuredSide(msgspec.Struct, frozen=True, kw_only=True):
    """The values of the stacks of one side in one experiment.

    :param machine: the machine of the runs, as named in the environment.
    :param kernel: the release of the kernel, if the kernel was measured.
    :param testbed: the version of testbed, and the commit of the checkout.
    :param digest: the digest of the experiment at the time of the runs.
    """

    experiment: str
    side: Side
    machine: str
    kernel: str = ""
    testbed: str = ""
    created_at: str = ""
    digest: str
    cells: tuple[MeasuredCell, ...]

    def part(self, experiment: PaperExperiment) -> str:
        """Return in words how many cells of the side are measured; empty if all are."""
        stacks = experiment.stacks(self.side)
        whole = sum(cell.stack in stacks for cell in experiment.cells)
        there = len(self.cells)
        return "" if there >= whole else f"a sample: {there:,} of {whole:,} cells"

    @property
    def samples(self) -> Samples:
        """The values for the judgement of claims."""
        return Samples({cell.identity: cell.values for cell in self.cells})


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The content of ``measured.json``."""

    schema: int = SCHEMA
    sides: tuple[MeasuredSide, ...] = ()

    def of(self, experiment: str, side: Side) -> MeasuredSide | None:
        """Return the values of one side of an experiment, if they exist."""
        fitting = (it for it in self.sides if (it.experiment, it.side) == (experiment, side))
        return next(fitting, None)

    def now(self, paper: Paper) -> Measured:
        """Return only the values of the present versions of a publication's experiments."""
        digests = {each.name: each.digest for each in paper.experiments.values()}
        fitting = (it for it in self.sides if digests.get(it.experiment) == it.digest)
        return Measured(sides=tuple(fitting))

    def joined(self, new: Iterable[MeasuredSide]) -> Measured:
        """Return the union. New cells replace old ones, and all cells of another version."""
        found = {(it.experiment, it.side): it for it in self.sides}
        for side in new:
            key = side.experiment, side.side
            old = found.get(key)
            cells = (
                {} if old is None or not _alike(old, side) else {c.identity: c for c in old.cells}
            )
            cells |= {cell.identity: cell for cell in side.cells}
            found[key] = msgspec.structs.replace(side, cells=tuple(cells.values()))
        return Measured(sides=tuple(found[key] for key in sorted(found)))


def _alike(one: MeasuredSide, other: MeasuredSide) -> bool:
    return (one.digest, one.machine, one.kernel) == (other.digest, other.machine, other.kernel)


def measured(
    paper: Paper,
    experiment: PaperExperiment,
    side: Side,
    record: ExperimentRecord,
    environment: Environment,
    runs: Sequence[RunRecord],
) -> MeasuredSide:
    """Return the values of one side in a result folder."""
    wanted = metrics(paper, experiment)
    of_cell: dict[str, list[RunRecord]] = {}
    for run in sorted(runs, key=lambda it: it.repetition):
        of_cell.setdefault(run.identity, []).append(run)
    return MeasuredSide(
        experiment=experiment.name,
        side=side,
        machine=environment.machine,
        kernel=environment.kernel.release if side is Side.KERNEL else "",
        testbed=" ".join(filter(None, (environment.testbed, _commit(environment.checkout)))),
        created_at=record.created_at,
        digest=experiment.digest,
        cells=tuple(
            _cell(of_cell[cell.identity], wanted)
            for cell in experiment.cells
            if cell.identity in of_cell
        ),
    )


def _commit(checkout: Checkout | None) -> str:
    if checkout is None:
        return ""
    return f"{checkout.commit[:12]}{' and changes' if checkout.dirty else ''}"


def _cell(runs: Sequence[RunRecord], wanted: Sequence[str]) -> MeasuredCell:
    good = [run for run in runs if run.status is Status.OK]
    values = {
        name: tuple(run.metrics[name] for run in good if name in run.metrics) for name in wanted
    }
    return MeasuredCell(
        stack=runs[0].stack,
        parameters=runs[0].parameters,
        values={name: found for name, found in values.items() if found},
        wrong=tuple(f"{run.status}: {run.reason}" for run in runs if run.status is not Status.OK),
    )


def metrics(paper: Paper, experiment: PaperExperiment) -> tuple[str, ...]:
    """Return the metrics that the claims, values and figures of an experiment name."""

    def named() -> Iterator[str]:
        yield from (each.name for each in experiment.spec.expect if each.claim)
        published = paper.published
        yield from (it.metric for it in published.values if it.experiment == experiment.name)
        yield from (it.metric for it in published.figures if it.experiment == experiment.name)

    return tuple(dict.fromkeys(named()))


def read(folder: Path) -> Measured:
    """Return the stored values of a folder, empty if it has none.

    :raises StoreError: the file is unreadable, damaged, or of a later version.
    """
    path = folder / NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Measured()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
    return decoded(content, path, Measured, SCHEMA)


def check_writable(folder: Path) -> None:
    """Raise StoreError if values cannot be stored in a folder."""
    if not os.access(folder, os.W_OK):
        raise StoreError(f"{folder / NAME} cannot be written: the folder is read-only")


def write(folder: Path, values: Measured) -> Path:
    """Store values in a folder, and return the path of the file.

    :raises StoreError: the file cannot be written. Then the old file stays.
    """
    path = folder / NAME
    lines = [_line(side) for side in values.sides]
    text = f'{{"schema": {values.schema}, "sides": [\n' + ",\n".join(lines) + "\n]}\n"
    try:
        replace_file(path, text)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _line(side: MeasuredSide) -> str:
    """Format one side: a line for its properties and one for each cell, for diffs in git."""
    plain = msgspec.to_builtins(side)
    cells = ",\n  ".join(json.dumps(cell) for cell in plain.pop("cells"))
    return json.dumps(plain)[:-1] + ', "cells": [\n  ' + cells + "\n]}"
