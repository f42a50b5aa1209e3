"""Traces made of what people have."""

from __future__ import annotations

import json

import pytest

from testbed.errors import InputError
from testbed.interchange.traces import Row, as_csv, as_mahimahi, read
from testbed.wire.trace import Changes, Trace, loads

PING = """\
PING 192.0.2.1 (192.0.2.1) 56(84) bytes of data.
[1700000000.000000] 64 bytes from 192.0.2.1: icmp_seq=1 ttl=57 time=20.0 ms
[1700000001.000000] 64 bytes from 192.0.2.1: icmp_seq=2 ttl=57 time=30.0 ms
[1700000003.000000] 64 bytes from 192.0.2.1: icmp_seq=4 ttl=57 time=24.0 ms
"""
IPERF3 = json.dumps(
    {
        "start": {},
        "intervals": [
            {"streams": [], "sum": {"start": 0, "end": 1.0, "bits_per_second": 20e6}},
            {"streams": [], "sum": {"start": 1.0, "end": 2.0, "bits_per_second": 5e6}},
        ],
    }
)


def test_opportunities_become_rates() -> None:
    rows = read("1\n50\n100\n150\n200\n200\n")
    assert [(row.time_s, row.rate_mbit) for row in rows] == [(0.0, 0.36), (0.1, 0.36)]


def test_rates_become_opportunities_again() -> None:
    text = as_mahimahi([Row(time_s=0, rate_mbit=12), Row(time_s=1, rate_mbit=1.2)])
    trace = loads(text.encode(), "x")
    assert isinstance(trace, Trace)
    # 12 Mbit/s are 1000 opportunities in a second, 1.2 Mbit/s are 100.
    assert len(trace.times_ns) == pytest.approx(1100, abs=1)
    assert trace.period_ns == pytest.approx(2 * 10**9, abs=10**7)


def test_half_of_pings_round_trips_and_what_was_lost() -> None:
    assert read(PING) == [
        Row(time_s=0.0, delay_ms=10.0, loss_percent=0.0),
        Row(time_s=1.0, delay_ms=15.0, loss_percent=0.0),
        Row(time_s=2.0, delay_ms=15.0, loss_percent=100.0),
        Row(time_s=3.0, delay_ms=12.0, loss_percent=0.0),
    ]
    without_times = "\n".join(line.partition("] ")[2] or line for line in PING.splitlines())
    assert [row.time_s for row in read(without_times, step_s=0.2)] == [0.0, 0.2, 0.4, 0.6]


def test_intervals_of_iperf3() -> None:
    assert read(IPERF3) == [Row(time_s=0, rate_mbit=20), Row(time_s=1, rate_mbit=5)]


@pytest.mark.parametrize(
    ("header", "line", "row"),
    [
        (
            "timestamp,bandwidth (kbps),latency[ms]",
            "7,500,8",
            Row(time_s=0, rate_mbit=0.5, delay_ms=8),
        ),
        (
            "time_ms;throughput_Mbps;loss_ratio",
            "7;500;.1",
            Row(time_s=0, rate_mbit=500, loss_percent=10),
        ),
        ("Seconds\tRTT (ms)\tcell", "7\t50\tA", Row(time_s=0, delay_ms=25)),
        ("time,downlink Mbit/s", "0,3", Row(time_s=0, rate_mbit=3)),
        (
            "time,rate,delay,loss",
            "2s,3mbit,4ms,5%",
            Row(time_s=0, rate_mbit=3, delay_ms=4, loss_percent=5),
        ),
    ],
)
def test_csv_of_other_tools(header: str, line: str, row: Row) -> None:
    assert read(f"{header}\n{line}\n") == [row]


@pytest.mark.parametrize("text", [PING, IPERF3, "1\n2\n3\n", "time,rate_mbit\n0,1\n1,2\n"])
def test_what_is_converted_is_a_trace(text: str) -> None:
    rows = read(text)
    trace = loads(as_csv(rows, "a comment").encode(), "x")
    assert isinstance(trace, Changes)
    assert [step.at_ns for step in trace.steps] == [round(row.time_s * 10**9) for row in rows]


def test_gaps_keep_the_last_value() -> None:
    rows = read("time,rate_mbit,delay_ms\n0,,5\n1,7,\n")
    assert as_csv(rows) == "time_s,rate_mbit,delay_ms\n0,7,5\n1,7,5\n"


@pytest.mark.parametrize(
    ("text", "kind", "says", "line"),
    [
        ("hello", None, "its format is not clear", None),
        ("1\n2\nx\n", None, "'x' is not a time", 3),
        ("3\n2\n", None, "times must not decrease", 2),
        ("{", None, "not JSON", 1),
        ('{"intervals": [{}]}', None, "not output of iperf3", None),
        ("time,rate_mbit\n0,fast\n", None, "'fast' is not a rate", 2),
        ("time,rate_mbit\n0\n", None, "1 values for 2 columns", 2),
        ("time,rate_mbit\n,5\n", None, "the time is missing", 2),
        ("a,b\n1,2\n", None, "the column of time is missing", 1),
        (f'{{"intervals": [{{"sum": {{"start": 1{"0" * 400}}}}}]}}', None, "intervals[0]", None),
        (f"time,rate_mbit\n0,1\n1,{'1' * 200_000}\n", None, "is not CSV: field larger", 3),
        ("PING x\n", None, "it contains nothing of ping", None),
        ("1\n", "pcap", "there is no format 'pcap'", None),
    ],
)
def test_mistakes(text: str, kind: str | None, says: str, line: int | None) -> None:
    with pytest.raises(InputError) as caught:
        read(text, kind)
    assert says in caught.value.message
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("time_s,rate_mbit\n0,nan\n1,2\n", None, "rate_mbit is nan"),
        ("time_s,rate_mbit\n0,inf\n1,2\n", None, "rate_mbit is inf"),
        ("time_s,rate_mbit\n0,-5\n1,2\n", None, "rate_mbit is -5"),
        ("time_s,loss_percent\n0,1\n1,500\n", None, "loss_percent is 500"),
        ("time_s,rate_mbit\n0,5\n0,2\n", None, "times must increase"),
        ("time_s,rate_mbit\n5,5\n1,2\n", None, "time_s is -4"),
        ("time_s,bandwidth,throughput\n5,5,1\n", None, "two columns give rate_mbit"),
        ("time,bandwidth\n0,8Mbps\n", None, "octets in tc(8) and bits elsewhere"),
        ("1\n999999999999\n", None, "set longer rows with --step"),
        ("²\n", "mahimahi", "not a time in whole ms"),
        ("[1]", "iperf3", "it has no intervals"),
        ('{"intervals": [3]}', None, "intervals[0] has no sum"),
        (
            '{"intervals": [{"sum": {"start": 0, "bits_per_second": NaN}}]}',
            None,
            "rate_mbit is nan",
        ),
        ("64 bytes from x: icmp_seq=900000000 ttl=1 time=3.3 ms\n", None, "nothing of ping"),
        ("64 bytes from x: icmp_seq=1 ttl=1 time=3.3.3 ms\n", None, "nothing of ping"),
    ],
)
def test_what_no_link_can_be(text: str, kind: str | None, says: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text, kind)
    assert says in caught.value.message + (caught.value.hint or "")


@pytest.mark.parametrize(
    ("header", "rate_mbit"),
    [("rate_MBps", 8), ("throughput (MB/s)", 8), ("kBps rate", None), ("rate Mb/s", 1)],
)
def test_octets_are_not_taken_for_bits(header: str, rate_mbit: float | None) -> None:
    if rate_mbit is None:
        with pytest.raises(
            InputError, match="the column of time is missing, or every other column"
        ):
            read(f"time_s,{header}\n0,1\n")
        return
    assert read(f"time_s,{header}\n0,1\n") == [Row(time_s=0, rate_mbit=rate_mbit)]


def test_a_trace_of_a_wire_is_shown_as_the_wire_plays_it() -> None:
    rows = read('time,rate,limit,loss\n0s,1mbps,100ms,1%\n"1500ms",0,1.5bdp,0%\n')
    assert rows == [
        Row(time_s=0, rate_mbit=8, limit="100ms", loss_percent=1),
        Row(time_s=1.5, rate_mbit=0, limit="1.5bdp", loss_percent=0),
    ]
    assert isinstance(loads(as_csv(rows).encode(), "x"), Changes)


def test_rates_below_the_least_of_a_wire_are_none() -> None:
    text = as_csv([Row(time_s=0, rate_mbit=1e-6), Row(time_s=1, rate_mbit=1)])
    trace = loads(text.encode(), "x")
    assert isinstance(trace, Changes)
    assert [step.held for step in trace.steps] == [True, False]


def test_more_opportunities_than_a_trace_can_have_are_refused() -> None:
    with pytest.raises(InputError, match="opportunities; the maximum is 5,000,000"):
        as_mahimahi([Row(time_s=0, rate_mbit=1e9), Row(time_s=1e9, rate_mbit=1)])


def test_ping_counts_on_after_its_numbers_have_begun_again() -> None:
    lines = [f"64 bytes from x: icmp_seq={number} ttl=9 time=8 ms" for number in (65534, 65535, 1)]
    rows = read("\n".join(lines), "ping", step_s=1)
    assert [(row.time_s, row.loss_percent) for row in rows] == [(0, 0), (1, 0), (2, 100), (3, 0)]
