"""Metrics that are computed from what probes saw."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from testbed import records
from testbed.analysis.derive import derived
from testbed.analysis.derived.flows import aggregation_benefit
from testbed.analysis.instance import parse
from testbed.analysis.registry import metrics
from testbed.metric import Subject
from testbed.results.model import (
    WORKLOAD,
    EventRecord,
    FlowRecord,
    PathRecord,
    RunRecord,
    Status,
    WireRecord,
)
from testbed.results.store import Store
from testbed.wire.netem import WireCounters

MS = 1_000_000
PATHS = (
    PathRecord(
        link="wifi", source="10.0.1.1", destination="10.0.1.2", forward=20_000_000, reverse=1
    ),
    PathRecord(
        link="lte", source="10.0.2.1", destination="10.0.2.2", forward=10_000_000, reverse=1
    ),
)
FLOW = FlowRecord(kind="bulk", source="client", target="server", port=5001, paths=PATHS)
LINKS = {"10.0.1.1": "wifi", "10.0.2.1": "lte", "10.0.1.2": "wifi", "10.0.2.2": "lte"}


def run(*series, flows=None, metrics=None, **more):
    """Derive the metrics of a run with one flow from client to server."""
    record = RunRecord(
        number=1,
        stack="mptcp",
        parameters={},
        repetition=1,
        seed=1,
        status=Status.OK,
        started_at="",
        seconds=1,
        metrics=metrics or {},
        flows=flows or {WORKLOAD: FLOW},
        addresses=LINKS,
        **more,
    )
    return derived(record, series).metrics


def subflow(path, port=40000, *, reverse=False, **tcp):
    local, remote = f"10.0.{path}.1:{port}", f"10.0.{path}.2:5001"
    if reverse:
        local, remote = remote, local
    return records.Subflow(id=path, local=local, remote=remote, tcp=records.TcpInfo(state=1, **tcp))


def mptcp(t_ms, *subflows, node="client", ended=(), **info):
    first = min((*subflows, *ended), key=lambda it: it.id)
    return records.MptcpInfoRecord(
        t_ns=t_ms * MS,
        node=node,
        local=first.local,
        remote=first.remote,
        mptcp=records.MptcpInfo(
            fallback=False, info=records.MptcpFields(**info), subflows=subflows, ended=ended
        ),
    )


def test_what_subflows_counted_is_added_up_and_told_by_path():
    found = run(
        mptcp(100, subflow(1, total_retrans=1, bytes_retrans=1000, bytes_acked=1)),
        mptcp(
            200,
            subflow(1, total_retrans=2, bytes_retrans=2000, bytes_acked=300),
            subflow(2, port=40001, total_retrans=3, bytes_retrans=500, bytes_acked=100),
            bytes_retrans=700,
        ),
    )
    assert found["retransmitted_segments"] == 5
    assert found["retransmitted_octets"] == 2500
    assert found["@lte.retransmitted_octets"] == 500
    assert found["reinjected_octets"] == 700
    assert (found["@wifi.share"], found["@lte.share"]) == (0.75, 0.25)


def test_a_subflow_that_has_ended_still_counts():
    gone = subflow(1, total_retrans=4, bytes_acked=100)
    kernel = [mptcp(100, gone), mptcp(200, subflow(2, total_retrans=1, bytes_acked=100))]
    # A connection of the kernel's keeps its addresses, whichever subflow is left.
    kernel[1] = records.MptcpInfoRecord(
        t_ns=200 * MS,
        node="client",
        local=gone.local,
        remote=gone.remote,
        mptcp=kernel[1].mptcp,
    )
    ours = [mptcp(100, gone), mptcp(200, subflow(2, total_retrans=1), ended=(gone,))]
    assert run(*kernel)["retransmitted_segments"] == run(*ours)["retransmitted_segments"] == 5


def test_a_field_that_no_kernel_here_has_gives_no_number():
    found = run(mptcp(100, subflow(1, rtt=1000)))
    assert "retransmitted_octets" not in found
    assert "reinjected_octets" not in found


def test_rtt_and_window_are_those_of_the_sender():
    found = run(
        *(
            mptcp(
                t * 100,
                subflow(1, rtt=t * 1000, snd_cwnd=10, snd_mss=1000, bytes_acked=5000),
                subflow(2, rtt=50_000, snd_cwnd=t, snd_mss=1000),
            )
            for t in range(1, 11)
        ),
        mptcp(1100, subflow(1, reverse=True, rtt=999_000, bytes_received=5000), node="server"),
    )
    assert (found["@wifi.rtt_p50"], found["@wifi.rtt_max"]) == (0.005, 0.010)
    assert found["rtt_max"] == 0.050
    assert found["@lte.cwnd_max"] == 10_000
    assert (found["cwnd_p50"], found["cwnd_max"]) == (15_000, 20_000)
    assert found["@wifi.cwnd_variation"] == 0
    assert found["@lte.cwnd_variation"] == pytest.approx(8.25**0.5 / 5.5)
    assert found["cwnd_variation"] == pytest.approx(8.25**0.5 / 5.5 / 2)


def test_one_sample_of_a_window_does_not_vary():
    assert "cwnd_variation" not in run(mptcp(100, subflow(1, snd_cwnd=10, snd_mss=1000)))


def test_restarts_after_silences_are_added_up():
    found = run(
        mptcp(100, subflow(1, idle_restarts=1)),
        mptcp(200, subflow(1, idle_restarts=3), subflow(2, idle_restarts=4)),
        mptcp(200, subflow(1, reverse=True, idle_restarts=20), node="server"),
    )
    assert (found["idle_restarts"], found["@lte.idle_restarts"]) == (27, 4)
    assert "idle_restarts" not in run(mptcp(100, subflow(1, bytes_acked=1)))


def test_the_sender_of_a_reverse_transfer_is_the_server():
    found = run(
        mptcp(100, subflow(1, rtt=1000, bytes_received=5000)),
        mptcp(100, subflow(1, reverse=True, rtt=7000, bytes_acked=5000), node="server"),
    )
    assert found["rtt_max"] == 0.007


def test_octets_out_of_order_of_our_stack_are_what_it_says():
    found = run(
        *(
            mptcp(t, subflow(1, reverse=True), node="server", bytes_out_of_order=octets)
            for t, octets in ((100, 0), (200, 5000), (300, 1000))
        ),
    )
    assert found["out_of_order_max"] == 5000


def test_of_the_kernel_they_are_what_subflows_have_beyond_the_connection():
    def at(t, first, second, received):
        return mptcp(
            t,
            subflow(1, reverse=True, bytes_received=first),
            subflow(2, reverse=True, bytes_received=second),
            node="server",
            bytes_received=received,
        )

    # 300 octets come twice, between the second and the last sample.
    found = run(at(100, 1000, 0, 1000), at(200, 2000, 5000, 2500), at(300, 5300, 5000, 10_000))
    assert found["out_of_order_max"] == 4500 - 300


def test_a_plain_connection_is_one_subflow():
    def tcp(t, **info):
        return records.TcpInfoRecord(
            t_ns=t * MS,
            node="client",
            local="10.0.1.1:40000",
            remote="10.0.1.2:5001",
            tcp=records.TcpInfo(state=1, **info),
        )

    found = run(
        tcp(100, rtt=10_000, total_retrans=1, bytes_acked=10), tcp(200, rtt=30_000, total_retrans=2)
    )
    assert (found["rtt_max"], found["retransmitted_segments"]) == (0.03, 2)
    assert "reinjected_octets" not in found


def test_the_ends_own_last_look_is_the_last_word():
    info = {"fallback": False, "info": {}, "subflows": [{"id": 1, "local": "10.0.1.1:40000",
            "remote": "10.0.1.2:5001", "tcp": {"state": 1, "total_retrans": 9}}]}  # fmt: skip
    details = {"source": {"node": "client", "view": {"mptcp_info": info}}}
    flow = FlowRecord(kind="bulk", source="client", target="server", port=5001, details=details)
    sampled = mptcp(100, subflow(1, total_retrans=2))
    assert run(sampled, flows={WORKLOAD: flow})["retransmitted_segments"] == 9
    assert run(flows={WORKLOAD: flow})["retransmitted_segments"] == 9


def test_flows_are_told_apart_by_their_ports():
    rival = FlowRecord(kind="bulk", source="client", target="server", port=5002)
    record = mptcp(100, subflow(1, total_retrans=2))
    other = records.TcpInfoRecord(
        t_ns=100 * MS,
        node="client",
        local="10.0.1.1:40009",
        remote="10.0.1.2:5002",
        tcp=records.TcpInfo(state=1, total_retrans=7),
    )
    found = run(record, other, flows={"transfer": FLOW, "rival": rival})
    assert found["transfer.retransmitted_segments"] == 2
    assert found["rival.retransmitted_segments"] == 7
    assert "retransmitted_segments" not in found


def test_flows_share_what_there_is():
    goodputs = {"a.goodput": 3e6, "b.goodput": 1e6}
    found = run(flows={"a": FLOW, "b": FLOW}, metrics=goodputs)
    assert found["sum"] == 4e6
    assert (found["a.share"], found["b.share"]) == (0.75, 0.25)
    assert found["jain"] == pytest.approx(16 / (2 * 10))
    assert "jain" not in run(metrics={"goodput": 3e6})


@pytest.mark.parametrize(
    ("goodput", "benefit"), [(20e6, 0.0), (30e6, 1.0), (25e6, 0.5), (10e6, -0.5), (0.0, -1.0)]
)
def test_aggregation_benefit(goodput, benefit):
    assert aggregation_benefit(goodput, [20_000_000, 10_000_000]) == pytest.approx(benefit)
    assert run(metrics={"goodput": goodput})["aggregation_benefit"] == pytest.approx(benefit)


@pytest.mark.parametrize("capacities", [[], [20_000_000], [20_000_000, None]])
def test_without_two_rates_there_is_no_benefit(capacities):
    assert aggregation_benefit(1e6, capacities) is None


def test_rates_of_paths_with_a_common_link_do_not_add_up():
    paths = [msgspec.structs.replace(it, links=(it.link, "core")) for it in PATHS]
    apart = [msgspec.structs.replace(it, links=(it.link,)) for it in PATHS]
    for ways, there in ((paths, False), (apart, True)):
        flow = msgspec.structs.replace(FLOW, paths=tuple(ways))
        found = run(flows={WORKLOAD: flow}, metrics={"goodput": 1e7})
        assert ("aggregation_benefit" in found) is there


def test_what_a_gigabyte_costs():
    values = {"goodput": 8e6, "duration": 10.0, "cpu_source": 0.1, "cpu_target": 0.3}
    assert run(metrics=values)["cpu_per_gb"] == pytest.approx(40.0)
    del values["cpu_source"]
    assert "cpu_per_gb" not in run(metrics=values)


def pauses(*spans):
    return [
        records.PauseRecord(t_ns=end * MS, node="server", length_ns=(end - start) * MS)
        for start, end in spans
    ]


def event(at_ms, error=None):
    return EventRecord(
        planned_ns=at_ms * MS,
        started_ns=at_ms * MS,
        finished_ns=at_ms * MS,
        action="link wifi: state down",
        error=error,
    )


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([(100, 900), (1010, 1410), (5000, 9000)], 0.4),  # neither before nor long after
        ([(900, 1300)], 0.3),  # counted from the event
        ([(100, 900), (5000, 9000)], 0.0),
    ],
)
def test_hand_over_is_the_longest_pause_after_an_event(spans, seconds):
    assert run(*pauses(*spans), events=(event(1000),))["handover_time"] == seconds


def test_of_several_events_the_longest_counts():
    found = run(*pauses((1000, 1200), (3000, 3700)), events=(event(1000), event(3000)))
    assert found["handover_time"] == 0.7


def test_without_an_event_there_is_no_hand_over():
    assert "handover_time" not in run(*pauses((1000, 1200)))
    assert "handover_time" not in run(*pauses((1000, 1200)), events=(event(1000, error="no"),))


def wire(t_ms, queued, netem=None):
    counters = WireCounters(queued_bytes=queued)
    return records.WireRecord(
        t_ns=t_ms * MS, link="wifi", toward="server", counters=counters, netem=netem
    )


WIRE = WireRecord(
    link="wifi",
    toward="server",
    engine="simulator",
    netem="rate 8mbit delay 10ms",
    counters=WireCounters(
        forwarded_bytes=9, dropped_loss=1, dropped_limit=2, dropped_overrun=4, dropped_send=8
    ),
)


def test_drops_are_told_by_wire_and_cause():
    found = run(wires=(WIRE,))
    assert found["wifi>server.dropped"] == 15
    assert (found["wifi>server.dropped_loss"], found["wifi>server.dropped_queue"]) == (1, 2)
    assert found["wifi>server.forwarded"] == 9


def test_queueing_is_what_frames_wait_beyond_the_wires_own_delay():
    # At 8 Mbit/s 1000 octets take 1 ms, and 10,000 are in the delay of 10 ms.
    series = (wire(-50, 0), wire(100, 30_000), wire(200, 10_000), wire(1000, 0))
    found = run(*series, wires=(WIRE,))
    assert found["wifi>server.queue_delay_max"] == pytest.approx(0.020)
    assert found["wifi>server.queue_delay_p50"] == 0  # 900 ms of 1000
    assert found["wifi>server.queue_delay_p95"] == pytest.approx(0.020)


def test_queueing_goes_by_the_options_in_force():
    series = (wire(0, 0, "rate 8mbit"), wire(500, 1000, "rate 80mbit"), wire(1000, 0))
    assert run(*series, wires=(WIRE,))["wifi>server.queue_delay_max"] == pytest.approx(0.0001)


def test_every_number_that_is_derived_is_of_a_metric_that_says_so():
    found = run(
        mptcp(100, subflow(1, rtt=1, snd_cwnd=1, snd_mss=1, bytes_acked=1, total_retrans=0)),
        wire(0, 0),
        wire(100, 0),
        *pauses((1000, 1200)),
        wires=(WIRE,),
        events=(event(1000),),
        metrics={"goodput": 1e6},
    )
    assert len(found) > 20
    for name in found:
        instance = parse(name)
        of = metrics()[instance.metric].of
        assert (instance.subject or Subject.FLOW) in of, name


def test_a_folder_of_schema_1_gives_the_same_numbers():
    store = Store.open(Path(__file__).parent.parent / "results" / "version1")
    found = {
        record.stack: derived(record, store.series(record.number)).metrics
        for record in store.runs()
    }
    assert found["mptcp"]["retransmitted_segments"] == 28
    assert found["mptcp"]["retransmitted_octets"] == 10_640 + 26_480
    assert found["tcp"]["wifi>server.dropped_queue"] > 0
    assert all(metrics["rtt_max"] > 0.01 for metrics in found.values())
