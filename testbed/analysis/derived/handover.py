"""The pause of a flow after a change of the network."""

from __future__ import annotations

import itertools
from typing import Final

from testbed.analysis.derived.derivation import Derivation, Numbers
from testbed.analysis.derived.observed import FlowSeen, Observed
from testbed.analysis.instance import Instance
from testbed.metric import Better, Metric, Source

# A pause belongs to an event if it begins within this time: data in flight still arrives.
_SOON_NS: Final = 1_000_000_000

METRICS: Final = (
    Metric(
        name="handover_time",
        unit="s",
        better=Better.LOWER,
        definition="longest time between two reads that reaches into the second after an event, "
        "without the part before the event; the largest over all events",
        source=Source.DERIVED,
    ),
)


def derive(observed: Observed) -> Numbers:
    """Return the hand-over time of each flow that recorded its pauses."""
    starts = sorted(event.started_ns for event in observed.record.events if event.error is None)
    for flow in observed.flows if starts else ():
        if flow.pauses:
            spans = itertools.pairwise([*starts, observed.end_ns + 1])
            longest = max(_after(flow, start, end) for start, end in spans)
            yield Instance(metric="handover_time", flow=flow.name), longest / 1e9


def _after(flow: FlowSeen, start_ns: int, next_ns: int) -> int:
    """Return the longest pause that belongs to an event; 0 if no recorded pause does."""
    latest_ns = min(start_ns + _SOON_NS, next_ns)
    return max(
        (
            end_ns - max(start_ns, end_ns - length_ns)
            for end_ns, length_ns in flow.pauses
            if end_ns > start_ns and end_ns - length_ns <= latest_ns
        ),
        default=0,
    )


DERIVATION: Final = Derivation(metrics=METRICS, derive=derive)
