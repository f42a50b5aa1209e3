"""Metrics from TCP_INFO and MPTCP_INFO of a flow's connections."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from testbed.analysis.derived.derivation import Derivation, Numbers
from testbed.analysis.derived.observed import ConnectionSeen, FlowSeen, Observed, SubflowSeen
from testbed.analysis.instance import Instance
from testbed.analysis.statistics import quantile
from testbed.metric import Better, Metric, Source, Subject, Unit

_TCP: Final = ("tcp_info", "mptcp_info")
_MPTCP: Final = ("mptcp_info",)
_BOTH: Final = (Subject.FLOW, Subject.PATH)


def _metric(
    name: str,
    unit: Unit,
    better: Better,
    definition: str,
    *,
    needs: tuple[str, ...] = _TCP,
    of: tuple[Subject, ...] = _BOTH,
    source: Source = Source.DERIVED,
) -> Metric:
    return Metric(
        name=name,
        unit=unit,
        better=better,
        definition=definition,
        source=source,
        needs=needs,
        of=of,
    )


METRICS: Final = (
    _metric(
        "retransmitted_segments",
        "1",
        Better.LOWER,
        "segments that TCP retransmitted, at both ends and on all subflows, SYNs included",
        source=Source.PROBE,
    ),
    _metric(
        "retransmitted_octets",
        "octets",
        Better.LOWER,
        "octets that TCP retransmitted, at both ends and on all subflows",
        source=Source.PROBE,
    ),
    _metric(
        "reinjected_octets",
        "octets",
        Better.LOWER,
        "octets of the data that were sent again on another subflow (reinjection), at both ends",
        needs=_MPTCP,
        of=(Subject.FLOW,),
        source=Source.PROBE,
    ),
    _metric(
        "out_of_order_p95",
        "octets",
        Better.LOWER,
        "95th percentile over the samples of the octets that the receiver held because earlier "
        "octets of the data were missing",
        needs=_MPTCP,
        of=(Subject.FLOW,),
    ),
    _metric(
        "out_of_order_max",
        "octets",
        Better.LOWER,
        "largest number in any sample of the octets that the receiver held because earlier octets "
        "of the data were missing",
        needs=_MPTCP,
        of=(Subject.FLOW,),
    ),
    _metric(
        "rtt_p50",
        "s",
        Better.LOWER,
        "median over the samples of the smoothed round-trip time of the sender's subflows",
    ),
    _metric(
        "rtt_p95",
        "s",
        Better.LOWER,
        "95th percentile over the samples of the smoothed round-trip time of the sender's subflows",
    ),
    _metric(
        "rtt_max",
        "s",
        Better.LOWER,
        "largest smoothed round-trip time in any sample of the sender's subflows",
    ),
    _metric(
        "cwnd_p50",
        "octets",
        Better.NEITHER,
        "median over the samples of the sender's congestion window, as the sum over its subflows",
    ),
    _metric(
        "cwnd_max",
        "octets",
        Better.NEITHER,
        "largest congestion window of the sender in any sample, as the sum over its subflows",
    ),
    _metric(
        "cwnd_variation",
        "1",
        Better.LOWER,
        "coefficient of variation of the congestion window over the samples (standard deviation "
        "divided by mean), as the mean over the sender's subflows; the sum of the windows would "
        "hide that one grows while another shrinks",
    ),
    _metric(
        "idle_restarts",
        "1",
        Better.NEITHER,
        "idle periods longer than the retransmission timeout after which the congestion window was "
        "reduced (RFC 5681, section 4.1), at both ends and on all subflows; of our stack only: "
        "Linux does not count them",
        source=Source.PROBE,
    ),
)


def derive(observed: Observed) -> Numbers:
    """Return the metrics of the sockets of each flow, for the whole flow and for each path."""
    for flow in observed.flows:
        yield from _of_subflows(flow, None)
        links = {subflow.link for subflow in flow.sender.subflows}
        for link in sorted(link for link in links if link is not None):
            yield from _of_subflows(flow, link)
        for metric, value in _of_connections(flow):
            yield Instance(metric=metric, flow=flow.name), value


def _of_subflows(flow: FlowSeen, link: str | None) -> Numbers:
    """Return the metrics of the subflows over one link, or of all subflows."""
    sent = [it for it in flow.sender.subflows if link in (None, it.link)]
    both = [*sent, *(it for it in flow.receiver.subflows if link in (None, it.link))]
    counted = {
        "retransmitted_segments": [it.last.total_retrans for it in both],
        "retransmitted_octets": [it.last.bytes_retrans for it in both],
        "idle_restarts": [it.last.idle_restarts for it in both],
    }
    for metric, values in counted.items():
        known = [value for value in values if value is not None]
        if known:
            yield Instance(metric=metric, flow=flow.name, link=link), float(sum(known))
    rtts = sorted(
        info.rtt / 1e6 for it in sent for _, info in it.samples if info.rtt and info.established
    )
    for name, value in _spread("rtt", rtts, ("p50", "p95", "max")):
        yield Instance(metric=name, flow=flow.name, link=link), value
    for name, value in _spread("cwnd", sorted(_windows(sent)), ("p50", "max")):
        yield Instance(metric=name, flow=flow.name, link=link), value
    variations = [each for it in sent for each in _variation(tuple(_windows([it])))]
    if variations:
        mean = statistics.fmean(variations)
        yield Instance(metric="cwnd_variation", flow=flow.name, link=link), mean


def _windows(subflows: Iterable[SubflowSeen]) -> Iterable[float]:
    """Return the congestion window at each time in octets, the sum over the subflows."""
    sums: dict[int, float] = {}
    for subflow in subflows:
        for t_ns, info in subflow.samples:
            if info.snd_cwnd is not None and info.snd_mss and info.established:
                moment = round(t_ns, -_MOMENT)
                sums[moment] = sums.get(moment, 0.0) + info.snd_cwnd * info.snd_mss
    return sums.values()


def _variation(windows: Sequence[float]) -> Iterator[float]:
    """Yield the standard deviation over the mean; nothing for a single sample."""
    if len(windows) > 1 and any(windows):
        yield statistics.pstdev(windows) / statistics.fmean(windows)


# Samples of the subflows of a connection are simultaneous, those of a flow are within a few ms.
_MOMENT: Final = 7  # decimal digits of nanoseconds: 10 ms


def _of_connections(flow: FlowSeen) -> Iterator[tuple[str, float]]:
    again = [
        connection.samples[-1][1].info.bytes_retrans
        for end in (flow.source, flow.target)
        for connection in end.connections
        if connection.samples
    ]
    if any(value is not None for value in again):
        yield "reinjected_octets", float(sum(value or 0 for value in again))
    waiting = sorted(value for it in flow.receiver.connections for _, value in out_of_order(it))
    yield from _spread("out_of_order", waiting, ("p95", "max"))


def out_of_order(connection: ConnectionSeen) -> Sequence[tuple[int, float]]:
    """Return the octets out of order in each sample, with its time in nanoseconds.

    Our stack reports them. For the kernel, the difference between the octets that the subflows have
    received and those that the connection has received in order is used. This difference
    permanently includes duplicates. The duplicates at a sample are estimated as the smallest
    difference from then on, and subtracted.
    """
    own = [(t_ns, info.info.bytes_out_of_order) for t_ns, info in connection.samples]
    if any(value is not None for _, value in own):
        return [(t_ns, float(value)) for t_ns, value in own if value is not None]
    received: dict[tuple[str, str], int] = {}
    differences = []
    for t_ns, info in connection.samples:
        for subflow in info.subflows:
            received[subflow.local, subflow.remote] = subflow.tcp.bytes_received or 0
        if info.info.bytes_received is not None:
            differences.append((t_ns, sum(received.values()) - info.info.bytes_received))
    waiting = []
    least = float("inf")
    for t_ns, difference in reversed(differences):
        least = min(least, difference)
        waiting.append((t_ns, float(difference - least)))
    return waiting[::-1]


def _spread(
    name: str, ordered: Sequence[float], suffixes: Sequence[str]
) -> Iterator[tuple[str, float]]:
    for suffix in suffixes if ordered else ():
        percent = 100 if suffix == "max" else int(suffix.removeprefix("p"))
        yield f"{name}_{suffix}", quantile(ordered, percent)


DERIVATION: Final = Derivation(metrics=METRICS, derive=derive)
