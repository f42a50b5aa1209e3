"""The use of MPTCP in a flow: the number of subflows, and whether it fell back to TCP."""

from __future__ import annotations

from typing import Final

from testbed.analysis.derived.derivation import Derivation, Numbers
from testbed.analysis.derived.observed import Observed
from testbed.analysis.instance import Instance
from testbed.metric import Better, Metric, Source

METRICS: Final = (
    Metric(
        name="subflows",
        unit="1",
        better=Better.NEITHER,
        definition="largest number of subflows of an MPTCP connection at one time, the initial "
        "subflow included",
        source=Source.DERIVED,
    ),
    Metric(
        name="fell_back",
        unit="1",
        better=Better.LOWER,
        definition="1 if an MPTCP connection fell back to plain TCP (RFC 8684, section 3.7), else "
        "0; such a run counts only with `fallback: allowed`",
        source=Source.DERIVED,
    ),
)


def derive(observed: Observed) -> Numbers:
    """Return the metrics from the proof of each flow."""
    for flow in observed.flows:
        proof = flow.record.proof
        if proof.subflows is not None:
            yield Instance(metric="subflows", flow=flow.name), float(proof.subflows)
        if proof.fell_back is not None:
            yield Instance(metric="fell_back", flow=flow.name), float(proof.fell_back)


DERIVATION: Final = Derivation(metrics=METRICS, derive=derive)
