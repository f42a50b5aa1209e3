"""Two metrics: one of what a probe saw, one of what a workload reported."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.analysis.derived import Derivation, Observed
from testbed.analysis.instance import Instance
from testbed.metric import Better, Metric, Source, Subject
from testbed_example.probe import SockstatRecord

SOCKETS = Metric(
    name="sockets_max",
    unit="1",
    better=Better.LOWER,
    definition="most TCP sockets that a node had open in any sample",
    source=Source.DERIVED,
    needs=("sockstat",),
    of=(Subject.RUN,),
)
SPREAD = Metric(
    name="echo_time_spread",
    unit="s",
    better=Better.LOWER,
    definition="longest echo_time less the median one",
    source=Source.DERIVED,
)


def derive(observed: Observed) -> Iterator[tuple[Instance, float]]:
    """Yield the metrics that can be computed for a run."""
    seen = [each.in_use for each in observed.series if isinstance(each, SockstatRecord)]
    if seen:
        yield Instance(metric=SOCKETS.name), float(max(seen))
    for flow in observed.flows:
        longest = observed.metric(flow, "echo_time_max")
        median = observed.metric(flow, "echo_time_p50")
        if longest is not None and median is not None:
            yield Instance(flow=flow.name, metric=SPREAD.name), longest - median


DERIVATION = Derivation(metrics=(SOCKETS, SPREAD), derive=derive)
