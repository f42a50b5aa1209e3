"""The outcome: the values of each cell, in a file that is kept in git.

Verdicts are not in it.  They follow from the values and from what the experiments expect, so that
a claim cannot be said to hold because it once did.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from testbed.analysis.samples import Samples
from testbed.errors import StoreError
from testbed.papers.load import Paper, PaperExperiment
from testbed.papers.spec import Side
from testbed.results.environment import Checkout, Environment
from testbed.results.model import ExperimentRecord, RunRecord, Scalar, Status, identity

NAME: Final = "measured.json"
SCHEMA: Final = 1


class MeasuredCell(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of one cell.

    :param values: of each metric, one for each run that counts.
    :param wrong: why runs do not count.
    """

    stack: str
    parameters: dict[str, Scalar]
    values: dict[str, tuple[float, ...]]
    wrong: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """Its identity, as text."""
        return identity(self.stack, self.parameters)


class MeasuredSide(msgspec.Struct, frozen=True, kw_only=True):
    """The stacks of one side in one experiment.

    :param machine: where they ran, as an environment names it.
    :param kernel: its release, where it was the kernel that was measured.
    :param testbed: the version that measured, and the commit of the checkout.
    :param digest: of the experiment as it was run.
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
        """Return how many of the cells of its side are there, in words; nothing if all are."""
        stacks = experiment.stacks(self.side)
        whole = sum(cell.stack in stacks for cell in experiment.cells)
        there = len(self.cells)
        return "" if there >= whole else f"a sample: {there:,} of {whole:,} cells"

    @property
    def samples(self) -> Samples:
        """The values, to judge claims by."""
        return Samples({cell.identity: cell.values for cell in self.cells})


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """``measured.json``."""

    schema: int = SCHEMA
    sides: tuple[MeasuredSide, ...] = ()

    def of(self, experiment: str, side: Side) -> MeasuredSide | None:
        """Return what is known of one side of an experiment."""
        fitting = (it for it in self.sides if (it.experiment, it.side) == (experiment, side))
        return next(fitting, None)

    def now(self, paper: Paper) -> Measured:
        """Return what is of a publication's experiments as they are now."""
        digests = {each.name: each.digest for each in paper.experiments.values()}
        fitting = (it for it in self.sides if digests.get(it.experiment) == it.digest)
        return Measured(sides=tuple(fitting))

    def joined(self, new: Iterable[MeasuredSide]) -> Measured:
        """Return both; new cells take the place of old ones, and of all of another digest."""
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
    """Return what a result folder holds of one side."""
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
    """Return the metrics of an experiment that claims, values and figures name."""

    def named() -> Iterator[str]:
        yield from (each.name for each in experiment.spec.expect if each.claim)
        published = paper.published
        yield from (it.metric for it in published.values if it.experiment == experiment.name)
        yield from (it.metric for it in published.figures if it.experiment == experiment.name)

    return tuple(dict.fromkeys(named()))


def read(folder: Path) -> Measured:
    """Return what a folder holds; nothing if nothing was kept there.

    :raises StoreError: it is damaged, or of a later version.
    """
    path = folder / NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Measured()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
    try:
        found = msgspec.json.decode(content, type=Measured)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise StoreError(f"{path} is damaged: {error}") from error
    if found.schema > SCHEMA:
        message = f"{path} has schema {found.schema}, this testbed reads up to {SCHEMA}"
        raise StoreError(message, hint="read it with a newer one")
    return found


def write(folder: Path, values: Measured) -> Path:
    """Keep values in a folder, and return the file.

    :raises StoreError: it cannot be written; then the old file stays.
    """
    path = folder / NAME
    lines = [_line(side) for side in values.sides]
    text = f'{{"schema": {values.schema}, "sides": [\n' + ",\n".join(lines) + "\n]}\n"
    new = path.with_name(f".{NAME}.new")
    try:
        try:
            new.write_text(text, encoding="utf-8")
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _line(side: MeasuredSide) -> str:
    """Write one side: a line for what it is, one for each cell, as git shows lines."""
    plain = msgspec.to_builtins(side)
    cells = ",\n  ".join(json.dumps(cell) for cell in plain.pop("cells"))
    return json.dumps(plain)[:-1] + ', "cells": [\n  ' + cells + "\n]}"
