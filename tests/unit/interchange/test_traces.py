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
        ("hello", None, "it is not clear what this is", None),
        ("1\n2\nx\n", None, "'x' is not a time", 3),
        ("3\n2\n", None, "times must not go down", 2),
        ("{", None, "no JSON", 1),
        ('{"intervals": [{}]}', None, "no output of iperf3", None),
        ("time,rate_mbit\n0,fast\n", None, "'fast' is not a rate", 2),
        ("time,rate_mbit\n0\n", None, "1 values for 2 columns", 2),
        ("time,rate_mbit\n,5\n", None, "the time is missing", 2),
        ("a,b\n1,2\n", None, "no column of time", 1),
        ("PING x\n", None, "there is nothing of ping in it", None),
        ("1\n", "pcap", "there is no format 'pcap'", None),
    ],
)
def test_mistakes(text: str, kind: str | None, says: str, line: int | None) -> None:
    with pytest.raises(InputError) as caught:
        read(text, kind)
    assert says in caught.value.message
    assert caught.value.line == line
