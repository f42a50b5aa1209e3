"""From a result folder to a side of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from testbed.analysis.sides import Side, side
from testbed.campaign import runner
from testbed.errors import InputError, StoreError
from testbed.experiment.asked import asked
from testbed.experiment.load import read_spec
from testbed.results.store import Store


def of_folder(path: Path, metrics: Sequence[str] = (), name: str | None = None) -> Side:
    """Read a result folder; runs may be missing.

    :param metrics: that are wanted, and are derived if they were not when the runs were stored.
    :param name: what to call it; by default as ``path`` says.
    :raises InputError: it is no result folder, it is damaged, or no run has one of the metrics.
    """
    try:
        return _side(path, metrics, name)
    except StoreError as error:  # with a part of the runs the verdict might be another one
        raise InputError(error.message, hint=error.hint) from error


def _side(path: Path, metrics: Sequence[str], name: str | None) -> Side:
    store = Store.open(path)
    record, environment = store.experiment(), store.environment()
    return side(
        name or str(path),
        asked(record.name, read_spec(record), environment.machine),
        record,
        environment,
        runner.records(store, metrics),
    )
