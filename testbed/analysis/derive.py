"""Adds the derived metrics to the record of a run."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from testbed.analysis.derived import Derivation, Observed
from testbed.analysis.derived.derivation import Numbers
from testbed.analysis.registry import REGISTRY, derivations
from testbed.records import Record
from testbed.results.model import RunRecord


def derived(record: RunRecord, series: Iterable[Record]) -> RunRecord:
    """Return the record with the derived metrics. Metrics that the workload reported stay.

    :param series: the records of the probes in the order of time, from the start of the workload.
    :raises InputError: a derivation of another package failed.
    """
    observed = Observed(record, series)
    found = {
        str(instance): value
        for name, derivation in derivations().items()
        for instance, value in _derived(name, derivation, observed)
    }
    return msgspec.structs.replace(record, metrics=found | record.metrics)


def _derived(name: str, derivation: Derivation, observed: Observed) -> Numbers:
    """Return the numbers of a derivation. The error of one in another package names the package."""
    origin = REGISTRY.origin(name)
    if origin is None:
        return derivation.derive(observed)
    try:
        return [*derivation.derive(observed)]
    except Exception as error:
        raise origin.error(f"failed: {type(error).__name__}: {error}") from error
