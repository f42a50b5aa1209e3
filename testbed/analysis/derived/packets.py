"""A digest of all packets of a simulated run as one number."""

from __future__ import annotations

from typing import Final

from testbed.analysis.derived.derivation import Derivation, Numbers
from testbed.analysis.derived.observed import Observed
from testbed.analysis.instance import Instance
from testbed.metric import Better, Metric, Source, Subject
from testbed.records import PacketsRecord

_DIGITS: Final = 12  # hexadecimal digits: a float holds such a number exactly

METRICS: Final = (
    Metric(
        name="packet_digest",
        unit="1",
        better=Better.NEITHER,
        definition="first 48 bits of SHA-256 over all packets of all links and their times, in a "
        "simulation: equal if all packets and times are equal",
        source=Source.PROBE,
        needs=("packets",),
        of=(Subject.RUN,),
        names=True,
        robust=True,
    ),
)


def derive(observed: Observed) -> Numbers:
    """Return the number, if the run has one."""
    for record in observed.series:
        if isinstance(record, PacketsRecord):
            yield Instance(metric="packet_digest"), float(int(record.digest[:_DIGITS], 16))


DERIVATION: Final = Derivation(metrics=METRICS, derive=derive)
