"""The metrics that the workloads of this package report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from testbed.metric import Better, Metric, Source, Unit


def _metric(
    name: str, unit: Unit, better: Better, definition: str, *, robust: bool = False
) -> Metric:
    return Metric(
        name=name,
        unit=unit,
        better=better,
        definition=definition,
        source=Source.WORKLOAD,
        robust=robust,
    )


_HIGHER, _LOWER, _NEITHER = Better.HIGHER, Better.LOWER, Better.NEITHER
_SHARES: Final = {  # fraction of the values in thousandths, and the name of the quantile
    "p50": (500, "median"),
    "p90": (900, "90th percentile of the"),
    "p99": (990, "99th percentile of the"),
    "p999": (999, "99.9th percentile of the"),
}
USUAL: Final = ("p50", "p99")
TAIL: Final = ("p50", "p90", "p99", "p999")


def _quantiles(name: str, time: str, suffixes: Sequence[str] = USUAL) -> Iterator[Metric]:
    """Yield the metrics whose values :func:`quantiles` returns."""
    for suffix in suffixes:
        yield _metric(f"{name}_{suffix}", "s", _LOWER, f"{_SHARES[suffix][1]} {time}")
    yield _metric(f"{name}_max", "s", _LOWER, f"longest {time}")


_ALL: Final = (
    _metric(
        "goodput",
        "bit/s",
        _HIGHER,
        "verified payload divided by the time from the start of connecting to the last octet read; "
        "the sum of both directions if there are two",
    ),
    _metric("goodput_forward", "bit/s", _HIGHER, "goodput from the client to the server"),
    _metric("goodput_reverse", "bit/s", _HIGHER, "goodput from the server to the client"),
    _metric("duration", "s", _LOWER, "time from the start of connecting to the last octet read"),
    _metric("connect_time", "s", _LOWER, "time from the start of connecting to an open connection"),
    _metric("longest_gap", "s", _LOWER, "longest time a receiver waited between two reads"),
    _metric("transfers", "1", _NEITHER, "transfers of a flow with arrivals that arrived in full"),
    *_quantiles(
        "completion_time", "time of a transfer from the start of connecting to its last octet read"
    ),
    _metric("transactions", "1", _HIGHER, "requests that were answered in full"),
    *_quantiles("latency", "time from a request to the end of its response"),
    *_quantiles(
        "response_time",
        "time from when a request was due to the end of its response",
        TAIL,
    ),
    _metric("pages", "1", _NEITHER, "pages that were loaded in full"),
    *_quantiles(
        "page_load_time",
        "time from the start of a page, connecting included, to the end of its last object",
    ),
    *_quantiles(
        "first_octet_time",
        "time from the start of a page, connecting included, to its first octet of content",
    ),
    *_quantiles(
        "first_object_time",
        "time from the start of a page, connecting included, to the end of its first object, which "
        "is the document if there is one",
    ),
    _metric("page_octets", "octets", _NEITHER, "content of a page, on average"),
    _metric("objects", "1", _NEITHER, "objects of pages that arrived in full"),
    *_quantiles(
        "object_time",
        "time from the request for an object, or for its connection, to its last octet read",
    ),
    _metric("video_rate", "bit/s", _HIGHER, "mean of the bit rates at which segments were fetched"),
    _metric("stalls", "1", _LOWER, "how often the player had nothing left to play"),
    _metric(
        "stall_time", "s", _LOWER, "the total time in which the player had nothing left to play"
    ),
    _metric("rate_switches", "1", _LOWER, "segments whose bit rate differs from the one before"),
    _metric(
        "startup_delay", "s", _LOWER, "time from the start of connecting to the first segment's end"
    ),
    _metric("blocks", "1", _NEITHER, "blocks that arrived in full"),
    *_quantiles(
        "block_delay", "time from when a block was due at the sender to its last octet read"
    ),
    _metric("retransmits", "1", _LOWER, "retransmitted segments, as iperf3 counts them"),
    _metric(
        "cpu_source", "s", _LOWER, "CPU time, user and system, of the source's process", robust=True
    ),
    _metric(
        "cpu_target", "s", _LOWER, "CPU time, user and system, of the target's process", robust=True
    ),
)
METRICS: Final[dict[str, Metric]] = {metric.name: metric for metric in _ALL}

CPU: Final = ("cpu_source", "cpu_target")
# Metrics with a value for each half.
COMMON: Final = ("goodput", "duration", "connect_time", "longest_gap", *CPU)
BOTH_WAYS: Final = ("goodput_forward", "goodput_reverse")  # metrics of a flow with two directions
PAGES: Final = (  # metrics of pages over HTTP
    "page_load_time_p50",
    "page_load_time_p99",
    "page_load_time_max",
    "pages",
    "first_octet_time_p50",
    "first_octet_time_p99",
    "first_octet_time_max",
    "first_object_time_p50",
    "first_object_time_p99",
    "first_object_time_max",
    "object_time_p50",
    "object_time_p99",
    "object_time_max",
    "objects",
    "page_octets",
)
TIMED: Final = (  # metrics of a flow with arrivals
    "completion_time_p50",
    "completion_time_p99",
    "completion_time_max",
    "transfers",
)


def quantiles(
    name: str, values_ns: Sequence[int], suffixes: Sequence[str] = USUAL
) -> dict[str, float]:
    """Return ``NAME_p50``, ``NAME_p99`` and ``NAME_max`` in seconds, or other percentiles.

    The p-th percentile is the smallest value that at least p percent of the values do not exceed.
    So it is always a measured value.
    """
    ordered = sorted(values_ns)
    if not ordered:
        return {}
    ranks = {suffix: -(-len(ordered) * _SHARES[suffix][0] // 1000) for suffix in suffixes}
    found = {f"{name}_{suffix}": ordered[rank - 1] / 1e9 for suffix, rank in ranks.items()}
    return {**found, f"{name}_max": ordered[-1] / 1e9}
