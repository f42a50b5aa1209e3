"""Metrics of wires: drops and queues."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Final

from testbed.analysis.derived.derivation import Derivation, Numbers
from testbed.analysis.derived.observed import Observed
from testbed.analysis.instance import Instance
from testbed.metric import Better, Metric, Source, Subject, Unit
from testbed.records import WireRecord
from testbed.wire.netem import Netem


def _metric(
    name: str, unit: Unit, better: Better, definition: str, source: Source = Source.PROBE
) -> Metric:
    return Metric(
        name=name,
        unit=unit,
        better=better,
        definition=definition,
        source=source,
        needs=("wire",) if source is Source.DERIVED else (),
        of=(Subject.WIRE,),
    )


METRICS: Final = (
    _metric("forwarded", "octets", Better.NEITHER, "octets that left the wire, headers included"),
    _metric("dropped", "1", Better.LOWER, "frames that were lost, for any reason"),
    _metric("dropped_loss", "1", Better.LOWER, "frames that the option `loss` dropped"),
    _metric("dropped_queue", "1", Better.LOWER, "frames dropped because the queue was full"),
    _metric(
        "dropped_early",
        "1",
        Better.LOWER,
        "frames that the queueing discipline dropped before the queue was full",
    ),
    _metric("marked", "1", Better.NEITHER, "frames that the queueing discipline marked with CE"),
    _metric(
        "queue_delay_p50",
        "s",
        Better.LOWER,
        "median over the time of the workload of the queueing delay: the time that the queued "
        "frames need at the wire's rate, without the wire's own delay",
        Source.DERIVED,
    ),
    _metric(
        "queue_delay_p95",
        "s",
        Better.LOWER,
        "95th percentile over the time of the workload of the queueing delay, as queue_delay_p50",
        Source.DERIVED,
    ),
    _metric(
        "queue_delay_max",
        "s",
        Better.LOWER,
        "largest queueing delay in any sample, as queue_delay_p50",
        Source.DERIVED,
    ),
)


def derive(observed: Observed) -> Numbers:
    """Return the metrics of each direction of each wire."""
    for wire in observed.record.wires:
        counters = wire.counters
        counted = {
            "forwarded": counters.forwarded_bytes,
            "dropped": counters.dropped,
            "dropped_loss": counters.dropped_loss,
            "dropped_queue": counters.dropped_limit,
        }
        if _options(wire.netem).queue is not None:
            counted |= {"dropped_early": counters.dropped_early, "marked": counters.marked}
        for name, value in counted.items():
            yield Instance(metric=name, link=wire.link, toward=wire.toward), float(value)
        seen = observed.wires.get((wire.link, wire.toward), [])
        for name, delay in _queueing(seen, wire.netem, observed.end_ns):
            yield Instance(metric=name, link=wire.link, toward=wire.toward), delay


def _queueing(
    seen: Sequence[WireRecord], netem_at_end: str, end_ns: int
) -> Iterator[tuple[str, float]]:
    """Weight each sample with the time until the next one: records are made only at changes."""
    weighed: list[tuple[float, int]] = []
    netem = _options(next((it.netem for it in seen if it.netem is not None), netem_at_end))
    for record, following in zip(seen, [*(it.t_ns for it in seen), end_ns][1:], strict=True):
        if record.netem is not None:
            netem = _options(record.netem)
        lasted_ns = following - max(0, record.t_ns)
        if netem.rate is not None and lasted_ns > 0:
            weighed.append((_delay(record, netem), lasted_ns))
    if weighed:
        weighed.sort()
        for suffix, percent in (("p50", 50), ("p95", 95)):
            yield f"queue_delay_{suffix}", _weighed_quantile(weighed, percent)
        yield "queue_delay_max", weighed[-1][0]


@functools.lru_cache(maxsize=256)
def _options(text: str) -> Netem:
    """Parse netem options. The results are cached, as the runs of an experiment repeat them."""
    return Netem.parse(text)


def _delay(record: WireRecord, netem: Netem) -> float:
    """Return the time for sending the queued frames, without those in the wire's own delay."""
    assert netem.rate is not None  # noqa: S101 - asked by the caller
    if netem.queue is not None:
        return record.counters.waiting_bytes * 8 / netem.rate.bits_per_second
    needed = record.counters.queued_bytes * 8 / netem.rate.bits_per_second
    own = netem.delay.delay_ns / 1e9 if netem.delay else 0.0
    return max(0.0, needed - own)


def _weighed_quantile(weighed: Sequence[tuple[float, int]], percent: int) -> float:
    wanted = sum(weight for _, weight in weighed) * percent
    passed = 0
    for value, weight in weighed:
        passed += weight * 100
        if passed >= wanted:
            return value
    return weighed[-1][0]


DERIVATION: Final = Derivation(metrics=METRICS, derive=derive)
