"""Metrics that are computed from the records of workloads and probes."""

from __future__ import annotations

from typing import Final

from testbed.analysis.derived import (
    costs,
    flows,
    handover,
    packets,
    protocol,
    sockets,
    wires,
)
from testbed.analysis.derived.derivation import Derivation
from testbed.analysis.derived.observed import Observed

__all__ = ["DERIVATIONS", "Derivation", "Observed"]

DERIVATIONS: Final[dict[str, Derivation]] = {
    "sockets": sockets.DERIVATION,
    "handover": handover.DERIVATION,
    "costs": costs.DERIVATION,
    "flows": flows.DERIVATION,
    "protocol": protocol.DERIVATION,
    "wires": wires.DERIVATION,
    "packets": packets.DERIVATION,
}
