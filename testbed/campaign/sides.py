"""From a result folder to a side of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from testbed.analysis.sides import Side, side
from testbed.campaign import runner
from testbed.experiment.asked import asked
from testbed.experiment.load import read_spec
from testbed.results.store import Store


def of_folder(path: Path, metrics: Sequence[str] = (), name: str | None = None) -> Side:
    """Read a result folder; runs may be missing.

    :param metrics: that are wanted, and are derived if they were not when the runs were stored.
    :param name: what to call it; by default as ``path`` says.
    :raises InputError: it is no result folder, or no run has one of the metrics.
    :raises StoreError: it cannot be read.
    """
    store = Store.open(path)
    record, environment = store.experiment(), store.environment()
    return side(
        name or str(path),
        asked(record.name, read_spec(record), environment.machine),
        record,
        environment,
        runner.records(store, metrics),
    )
