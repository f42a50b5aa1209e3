"""What the finished runs of an experiment say together.  Pure, and the same from disk."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from testbed.experiment.expectations import Check, Verdict, evaluate
from testbed.experiment.matrix import Cell, expand
from testbed.experiment.spec import ExperimentSpec, Scalar
from testbed.results.model import SCHEMA, RunRecord, Status
from testbed.results.statistics import Estimate, Ratio, estimate, ratio

# What a workload is mostly run for, first; by its kind.
HEADLINES: Final = {
    "bulk": ("goodput", "duration"),
    "iperf3": ("goodput", "duration"),
    "reqres": ("latency_p50", "latency_p99"),
    "stream": ("block_delay_p50", "block_delay_p99"),
    "command": ("duration",),
}


class CellOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One row: the runs of one stack with the same parameters.

    :param planned: runs asked for; those that are not counted below have not been run.
    :param metrics: of the ``ok`` runs alone.
    :param subflows: every number of subflows its ``ok`` runs had; empty where that is no question.
    :param engines: what shaped the links.
    :param relative: the first headline metric over that of the first stack; not for itself.
    """

    cell: int
    stack: str
    parameters: dict[str, Scalar]
    planned: int
    ok: int
    failed: int
    invalid: int
    metrics: dict[str, Estimate]
    subflows: tuple[int, ...]
    engines: tuple[str, ...]
    relative: Ratio | None


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A run that does not count, and why."""

    run: int
    stack: str
    parameters: dict[str, Scalar]
    status: Status
    reason: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """``summary.json``.

    :param headline: metrics this kind of workload is run for, the first one above all.
    :param missing: runs that have not been run.
    :param remarks: what one must know of where the runs were to read the numbers.
    """

    schema: int = SCHEMA
    experiment: str
    description: str
    headline: tuple[str, ...]
    cells: tuple[CellOutcome, ...]
    checks: tuple[Check, ...]
    problems: tuple[Problem, ...]
    missing: int
    remarks: tuple[str, ...] = ()

    @property
    def regressed(self) -> bool:
        """Whether an expectation is surely not met."""
        return any(check.verdict is Verdict.REGRESSED for check in self.checks)


def outcome(name: str, spec: ExperimentSpec, runs: Sequence[RunRecord]) -> Outcome:
    """Sum up what is there; runs may be missing."""
    cells = expand(spec.parameters, spec.stacks)
    headline = HEADLINES[str(spec.workload.__struct_config__.tag)]
    of_cell: dict[int, list[RunRecord]] = defaultdict(list)
    for run in runs:
        of_cell[run.cell].append(run)
    samples = {cell.index: _samples(of_cell[cell.index]) for cell in cells}
    return Outcome(
        experiment=name,
        description=spec.description,
        headline=headline,
        cells=tuple(
            _cell(
                cell,
                of_cell[cell.index],
                spec.repetitions,
                samples[cell.index],
                _reference(cell, len(spec.stacks), samples, headline[0]),
                headline[0],
            )
            for cell in cells
        ),
        checks=evaluate(spec, cells, samples),
        problems=tuple(
            Problem(
                run=run.number,
                stack=run.stack,
                parameters=run.parameters,
                status=run.status,
                reason=run.reason or "",
            )
            for run in runs
            if run.status is not Status.OK
        ),
        missing=len(cells) * spec.repetitions - len(runs),
    )


def _samples(runs: Sequence[RunRecord]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        if run.status is Status.OK:
            for name, value in run.metrics.items():
                values[name].append(value)
    return values


def _reference(
    cell: Cell, stacks: int, samples: Mapping[int, Mapping[str, list[float]]], metric: str
) -> list[float] | None:
    """Return the values of the first stack, whose cell is the first with these parameters."""
    first = cell.index - cell.index % stacks
    return None if cell.index == first else samples[first].get(metric)


def _cell(
    cell: Cell,
    runs: Sequence[RunRecord],
    planned: int,
    samples: dict[str, list[float]],
    reference: Sequence[float] | None,
    headline: str,
) -> CellOutcome:
    good = [run for run in runs if run.status is Status.OK]
    count = Counter(run.status for run in runs)
    own = samples.get(headline, [])
    return CellOutcome(
        cell=cell.index,
        stack=cell.stack,
        parameters=cell.parameters,
        planned=planned,
        ok=count[Status.OK],
        failed=count[Status.FAILED],
        invalid=count[Status.INVALID],
        metrics={name: estimate(values) for name, values in samples.items()},
        subflows=tuple(sorted({run.proof.subflows for run in good if run.proof.subflows})),
        engines=tuple(sorted({run.engine for run in runs})),
        relative=ratio(own, [reference]) if own and reference and any(reference) else None,
    )
