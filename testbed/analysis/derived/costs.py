"""The CPU cost of data transfers."""

from __future__ import annotations

from typing import Final

from testbed.analysis.derived.derivation import Derivation, Numbers
from testbed.analysis.derived.observed import Observed
from testbed.analysis.instance import Instance
from testbed.metric import Better, Metric, Source

METRICS: Final = (
    Metric(
        name="cpu_per_gb",
        unit="s/GB",
        better=Better.LOWER,
        definition="CPU time, user and system, of the processes at both ends for each 10^9 octets "
        "of payload",
        source=Source.DERIVED,
        robust=True,
    ),
)


def derive(observed: Observed) -> Numbers:
    """Return the cost of each flow whose ends are separate processes."""
    for flow in observed.flows:
        names = ("cpu_source", "cpu_target", "goodput", "duration")
        source, target, goodput, duration = (observed.metric(flow, name) for name in names)
        if source is None or target is None or not goodput or not duration:
            continue
        gigabytes = goodput * duration / 8e9
        yield Instance(metric="cpu_per_gb", flow=flow.name), (source + target) / gigabytes


DERIVATION: Final = Derivation(metrics=METRICS, derive=derive)
