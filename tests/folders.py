"""Result folders whose runs are made up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testbed.experiment.matrix import PlannedRun
from testbed.results.model import RunRecord, Status
from testbed.results.store import Store


def keep(
    store: Store,
    planned: PlannedRun,
    metrics: Mapping[str, float],
    status: Status = Status.OK,
    **others: Any,
) -> None:
    """Store a record of a planned run, with these metrics and other fields."""
    record = RunRecord(
        number=planned.number,
        stack=planned.cell.stack,
        parameters=planned.cell.parameters,
        repetition=planned.repetition,
        seed=planned.seed,
        status=status,
        started_at="",
        seconds=1.0,
        metrics=dict(metrics),
        **others,
    )
    store.begin_run(planned.number)
    store.finish_run(record)
