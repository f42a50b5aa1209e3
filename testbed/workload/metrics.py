"""The metrics a workload can report: their names, units and which way is better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec


class Metric(msgspec.Struct, frozen=True):
    """What one number means.

    :param unit: bit/s, s, octets or 1 (a count).
    :param higher_is_better: ``None`` when neither is.
    """

    unit: str
    higher_is_better: bool | None
    description: str


_HIGHER: Final = True
_LOWER: Final = False

METRICS: Final[dict[str, Metric]] = {
    "goodput": Metric(
        "bit/s",
        _HIGHER,
        "verified payload over the time from the start of connecting to the last octet read; "
        "the sum of both directions where there are two",
    ),
    "goodput_forward": Metric("bit/s", _HIGHER, "goodput from the client to the server"),
    "goodput_reverse": Metric("bit/s", _HIGHER, "goodput from the server to the client"),
    "duration": Metric("s", _LOWER, "from the start of connecting to the last octet read"),
    "connect_time": Metric("s", _LOWER, "from the start of connecting to an open connection"),
    "longest_gap": Metric("s", _LOWER, "longest time a receiver waited between two reads"),
    "transactions": Metric("1", _HIGHER, "requests that were answered in full"),
    "latency_p50": Metric("s", _LOWER, "median time from a request to the end of its response"),
    "latency_p99": Metric("s", _LOWER, "99th percentile of the same"),
    "latency_max": Metric("s", _LOWER, "maximum of the same"),
    "blocks": Metric("1", None, "blocks that arrived in full"),
    "block_delay_p50": Metric(
        "s", _LOWER, "median time from when a block was due at the sender to its last octet read"
    ),
    "block_delay_p99": Metric("s", _LOWER, "99th percentile of the same"),
    "block_delay_max": Metric("s", _LOWER, "maximum of the same"),
    "retransmits": Metric("1", _LOWER, "segments sent again, as iperf3 counts them"),
    "cpu_source": Metric("s", _LOWER, "CPU time, user and system, of the source's process"),
    "cpu_target": Metric("s", _LOWER, "CPU time, user and system, of the target's process"),
}

# What a workload is mostly run for, first; by its kind.
HEADLINES: Final = {
    "bulk": ("goodput", "duration"),
    "iperf3": ("goodput", "duration"),
    "reqres": ("latency_p50", "latency_p99"),
    "stream": ("block_delay_p50", "block_delay_p99"),
    "command": ("duration",),
}


def quantiles(name: str, values_ns: Sequence[int]) -> dict[str, float]:
    """Return ``NAME_p50``, ``NAME_p99`` and ``NAME_max`` in seconds.

    The p-th percentile is the smallest value that at least p percent do not exceed, so it is
    always one that was measured.
    """
    ordered = sorted(values_ns)
    if not ordered:
        return {}
    ranks = {"p50": -(-len(ordered) * 50 // 100), "p99": -(-len(ordered) * 99 // 100)}
    found = {f"{name}_{suffix}": ordered[rank - 1] / 1e9 for suffix, rank in ranks.items()}
    return {**found, f"{name}_max": ordered[-1] / 1e9}
