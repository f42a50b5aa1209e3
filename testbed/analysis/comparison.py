"""The same experiment on several machines, put side by side.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from testbed.analysis.outcome import CellOutcome, Outcome
from testbed.analysis.statistics import Estimate, Ratio, ratio
from testbed.metric import Metric
from testbed.results.model import RunRecord, Scalar, Status


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What one machine made of an experiment.

    :param asked: tells experiments of one name apart, as :attr:`ExperimentRecord.digest` does.
    """

    machine: str
    asked: str
    outcome: Outcome
    runs: Sequence[RunRecord]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A cell on a machine.

    :param metric: the first headline metric of the experiment.
    :param estimate: its mean; ``None`` if no run counts.
    :param own: metrics that programs of the experiment print.
    :param relative: its mean over that on the first machine; not for that one itself.
    """

    stack: str
    parameters: dict[str, Scalar]
    machine: str
    ok: int
    planned: int
    metric: str
    estimate: Estimate | None
    subflows: tuple[int, ...]
    relative: Ratio | None
    own: dict[str, Metric] = {}


def compare(measured: Sequence[Measured]) -> tuple[Row, ...]:
    """Return a row for each cell and machine, the machines of one cell together.

    :param measured: of one experiment; the others are held against the first.
    """
    first = measured[0].outcome
    return tuple(row for cell in first.cells for row in _rows(cell, first.headline[0], measured))


def _rows(cell: CellOutcome, metric: str, measured: Sequence[Measured]) -> Iterator[Row]:
    reference = _values(cell, metric, measured[0].runs)
    for number, each in enumerate(measured):
        values = _values(cell, metric, each.runs)
        held = number and values and any(reference)
        for own in each.outcome.cells:
            if _same(own, cell):
                yield Row(
                    stack=cell.stack,
                    parameters=cell.parameters,
                    machine=each.machine,
                    ok=own.ok,
                    planned=own.planned,
                    metric=metric,
                    own=each.outcome.own,
                    estimate=own.metrics.get(metric),
                    subflows=own.subflows,
                    relative=ratio(values, [reference]) if held else None,
                )


def _same(one: CellOutcome | RunRecord, other: CellOutcome) -> bool:
    return (one.stack, one.parameters) == (other.stack, other.parameters)


def _values(cell: CellOutcome, metric: str, runs: Sequence[RunRecord]) -> list[float]:
    return [
        run.metrics[metric]
        for run in runs
        if run.status is Status.OK and _same(run, cell) and metric in run.metrics
    ]
