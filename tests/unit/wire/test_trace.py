from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import InputError
from testbed.wire.trace import OPPORTUNITY, Trace, TraceLink, load

MS = 10**6


def link(*times_ms: int, start_ns: int = 0) -> TraceLink:
    return TraceLink(Trace(tuple(time * MS for time in times_ms)), start_ns)


def departures_ms(trace: TraceLink, *packets: tuple[int, float]) -> list[float]:
    return [trace.deliver(octets, int(ready_ms * MS)) / MS for octets, ready_ms in packets]


def test_full_packets_use_one_opportunity_each() -> None:
    assert departures_ms(link(1, 1, 4), *[(1500, 0)] * 4) == [1, 1, 4, 5]


def test_small_packets_share_an_opportunity() -> None:
    assert departures_ms(link(1, 2, 3), *[(500, 0)] * 7) == [1, 1, 1, 2, 2, 2, 3]


def test_a_packet_may_begin_in_one_opportunity_and_end_in_the_next() -> None:
    assert departures_ms(link(1, 2, 3), (1000, 0), (1000, 0), (1000, 0)) == [1, 2, 2]


def test_opportunities_that_find_no_packet_are_lost() -> None:
    assert departures_ms(link(1, 2, 3, 10), (1500, 2.5), (1500, 2.5)) == [3, 10]


def test_a_packet_is_too_late_for_the_opportunity_at_its_own_time() -> None:
    assert departures_ms(link(1, 2, 3), (1500, 2)) == [3]


def test_what_is_left_of_an_opportunity_is_not_for_later_packets() -> None:
    assert departures_ms(link(1, 2, 3), (100, 0), (100, 1.5)) == [1, 2]


def test_the_trace_repeats_with_its_last_time_as_period() -> None:
    assert departures_ms(link(2, 5), *[(1500, 0)] * 5) == [2, 5, 7, 10, 12]
    assert departures_ms(link(2, 5), (1500, 1_000_001)) == [1_000_002]
    assert departures_ms(link(0, 5), (1500, 7), (1500, 7)) == [10, 10]


def test_the_trace_begins_when_it_is_started() -> None:
    assert departures_ms(link(2, 5, start_ns=100 * MS), (1500, 100), (1500, 103)) == [102, 105]


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=20).map(sorted).filter(lambda t: t[-1] > 0),
    st.lists(st.tuples(st.integers(1, 9000), st.integers(0, 5)), max_size=40),
)
def test_against_a_replay_of_every_opportunity(
    times_ms: list[int], packets: list[tuple[int, int]]
) -> None:
    arrivals, now = [], 0
    for octets, gap in packets:
        now += gap
        arrivals.append((octets, now))
    waiting = list(arrivals)
    expected: list[float] = []
    period, unfinished, base = times_ms[-1], 0, 0
    while waiting:
        for time in times_ms:
            room = OPPORTUNITY
            while room and waiting and waiting[0][1] < base + time:
                unfinished = unfinished or waiting[0][0]
                used = min(room, unfinished)
                room -= used
                unfinished -= used
                if not unfinished:
                    expected.append(base + time)
                    waiting.pop(0)
        base += period
    assert departures_ms(link(*times_ms), *arrivals) == expected


def test_load_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_text("0\n1\n1\n10\n")
    trace = load(path)
    assert trace == Trace((0, MS, MS, 10 * MS))
    assert trace.period_ns == 10 * MS
    assert trace.bits_per_second == 4 * 1500 * 8 * 100


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "longer than 0 ms"),
        (b"0\n0\n", "longer than 0 ms"),
        (b"1\n\n2\n", ":2: '' is not a time"),
        (b"1\nfive\n", ":2: 'five' is not a time"),
        (b"-1\n", ":1: '-1' is not a time"),
        (b"1.5\n", ":1: '1.5' is not a time"),
        (b"5\n4\n", ":2: times must not decrease"),
        (b"\xff\xfe\n", ":1: "),
        (b"time,rate\n0s," + b"1" * 200_000, ":2: is not CSV: field larger than"),
        (b"9" * 5000, ":1: "),
    ],
)
def test_load_names_the_line_that_is_wrong(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "bad.trace"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    assert says in str(caught.value)


def test_load_names_the_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: the trace cannot be read: No such file"):
        load(tmp_path / "none")
