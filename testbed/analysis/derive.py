"""From a record and what probes saw to a record with every metric."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from testbed.analysis.derived import Observed
from testbed.analysis.registry import derivations
from testbed.records import Record
from testbed.results.model import RunRecord


def derived(record: RunRecord, series: Iterable[Record]) -> RunRecord:
    """Return the record with the metrics that are derived; what the workload reported stays.

    :param series: in the order of time, from the start of the workload.
    """
    observed = Observed(record, series)
    found = {
        str(instance): value
        for derivation in derivations()
        for instance, value in derivation.derive(observed)
    }
    return msgspec.structs.replace(record, metrics=found | record.metrics)
