"""A side of a comparison, read from a result folder."""

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
    """Read a result folder. Runs may be missing.

    :param metrics: the wanted metrics. Those that were not stored with the runs are derived.
    :param name: the name of the side; by default ``path``.
    :raises InputError: it is no result folder, it is damaged, or no run has one of the metrics.
    """
    try:
        return _side(path, metrics, name)
    except StoreError as error:  # with only a part of the runs the verdict could differ
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
