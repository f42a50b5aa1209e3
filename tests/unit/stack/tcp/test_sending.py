"""The sending half: RFC 9293, sections 3.7.4, 3.8.6; RFC 6928; RFC 6691; Nagle, silly windows."""

from __future__ import annotations

import pytest

from testbed.packet.options import (
    MaximumSegmentSize,
    SackPermitted,
    Timestamps,
    WindowScale,
)
from testbed.packet.segment import PSH
from testbed.stack.connection import Closed, Writable
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.scoreboard import MOST_RECORDS
from testbed.stack.tcp.state import State

from .script import MS, SACK_PERMITTED, SCALED, SECOND, Script, bare


def sizes(script: Script) -> list[int]:
    return [len(segment.payload) for segment in script.last]


@pytest.mark.requirement("RFC 9293", "SHLD-28")
def test_the_initial_window_is_ten_segments() -> None:
    """RFC 6928."""
    script = Script()
    connection = script.connect()
    connection.send(b"x" * 50_000)
    script.out()
    assert sizes(script) == [1460] * 10
    assert connection.in_flight == 14600
    assert connection.queued == 50_000 - 14600
    assert connection.unsent == 50_000


@pytest.mark.requirement("RFC 9293", "MUST-1", "MUST-19")
def test_slow_start_doubles() -> None:
    """RFC 5681, section 3.1, counting octets (RFC 3465)."""
    script = Script()
    connection = script.connect()
    connection.send(b"x" * 500_000)
    script.out()
    script.inject(".", 1, 14601)
    assert sizes(script) == [1460] * 20
    script.inject(".", 1, 43801, win=65535)
    assert sizes(script) == [1460] * 40


def test_an_application_that_sends_little_gets_no_larger_window() -> None:
    """RFC 7661's reason: an unused window says nothing about the path."""
    script = Script()
    connection = script.connect()
    for number in range(40):
        connection.send(b"x" * 1460)
        script.out()
        script.inject(".", 1, 1 + 1460 * (number + 1))
    assert connection.cwnd == 14600


@pytest.mark.requirement("RFC 9293", "MUST-16")
def test_options_make_segments_smaller() -> None:
    """RFC 6691: MSS counts no options, so the payload does."""
    script = Script(TcpConfig(sack=False, window_scaling=False))
    connection = script.accept((Timestamps(1000, 0),))
    connection.send(b"x" * 3000)
    script.out()
    assert sizes(script) == [1448, 1448, 104]
    assert connection.mss == 1448


@pytest.mark.requirement("RFC 9293", "SHLD-7", "MUST-60", "MAY-16")
def test_nagle() -> None:
    """Section 3.7.4, in Minshall's form: one small segment may be outstanding."""
    script = Script()
    connection = script.connect()
    connection.send(b"a")
    assert script.out() == ["P. 1:2 1"]
    connection.send(b"b")
    connection.send(b"c")
    assert script.out() == []
    assert script.inject(".", 1, 2) == ["P. 2:4 1"]


@pytest.mark.requirement("RFC 9293", "SHLD-7", "SHLD-28")
def test_nagle_lets_full_segments_go() -> None:
    script = Script()
    connection = script.connect()
    connection.send(b"a")
    script.out()
    connection.send(b"b" * 2000)
    assert script.out() == [". 2:1462 1"]
    assert script.inject(".", 1, 1462) == ["P. 1462:2002 1"]


@pytest.mark.requirement("RFC 9293", "MUST-17")
def test_nagle_can_be_switched_off() -> None:
    """MUST-17."""
    script = Script(bare(nagle=False))
    connection = script.connect()
    connection.send(b"a")
    assert script.out() == ["P. 1:2 1"]
    connection.send(b"b")
    assert script.out() == ["P. 2:3 1"]


@pytest.mark.requirement("RFC 9293", "SHLD-27", "MAY-16")
def test_segments_are_full_whatever_was_sent_at_a_time() -> None:
    """RFC 9293, section 3.9.1.2: data of several calls is put together."""
    script = Script()
    connection = script.connect()
    for _ in range(3):
        connection.send(b"x" * 2500)
    script.out()
    assert sizes(script) == [1460] * 5 + [200]
    assert [bool(one.flags & PSH) for one in script.last] == [False] * 5 + [True]


def test_closing_ends_the_wait_for_more() -> None:
    script = Script()
    connection = script.connect()
    connection.send(b"a")
    script.out()
    connection.send(b"b")
    connection.shutdown()
    assert script.out() == ["FP. 2:3 1"]


def test_the_peers_window_is_kept() -> None:
    script = Script()
    connection = script.connect(win=4000)
    connection.send(b"x" * 10_000)
    assert script.out() == [". 1:1461 1", ". 1461:2921 1"]
    assert connection.send_window == 1080
    assert script.inject(".", 1, 1461, win=4000) == [". 2921:4381 1"]


@pytest.mark.requirement("RFC 9293", "MUST-38")
def test_silly_windows_are_not_filled() -> None:
    """Section 3.8.6.2.1, MUST-38: a full segment, or half the largest window, or all there is."""
    script = Script()
    connection = script.connect(win=2920)
    connection.send(b"x" * 10_000)
    script.out()
    assert script.inject(".", 1, 2921, win=1000) == []
    assert script.inject(".", 1, 2921, win=1460) == [". 2921:4381 1"]

    small = Script()
    connection = small.connect(win=800)
    connection.send(b"x" * 10_000)
    assert small.out() == [". 1:801 1"]
    assert small.inject(".", 1, 801, win=300) == []
    assert small.inject(".", 1, 801, win=400) == [". 801:1201 1"]


def test_the_override_timeout_fills_even_a_silly_window() -> None:
    """Section 3.8.6.2.1, SHLD: the wait for a better window ends."""
    script = Script()
    connection = script.connect(win=2920)
    connection.send(b"x" * 10_000)
    script.out()
    script.inject(".", 1, 2921, win=1000)
    (when, text), *_ = script.times(SECOND)
    assert text == ". 2921:3921 1"
    assert 200 <= when <= 1000
    assert ". 2921:3921 1" in script.wait(10 * SECOND)  # the segment is repeated like any other


@pytest.mark.requirement("RFC 9293", "MUST-36", "MUST-37", "SHLD-29", "SHLD-30")
def test_a_closed_window_is_probed_for_ever_while_answers_come() -> None:
    """Section 3.8.6.1, MUST-35 to MUST-37; RFC 6429."""
    script = Script(bare(retries=5))
    connection = script.connect(win=0)
    connection.send(b"waiting")
    assert script.out() == []
    gaps = []
    for _ in range(30):
        start = script.now
        while not (seen := script.wait(100 * MS)):
            pass
        assert seen == [". 0:0 1"]
        gaps.append(script.now - start)
        assert script.inject(".", 1, 1, win=0) == []
    assert 200 * MS <= gaps[0] < 500 * MS  # an RTO
    assert gaps[3] > 3 * gaps[1]  # exponentially
    assert max(gaps) <= 121 * SECOND
    assert script.inject(".", 1, 1, win=100) == ["P. 1:8 1"]
    assert connection.backoffs == 0


def test_a_peer_that_does_not_answer_probes_is_given_up() -> None:
    script = Script(bare(retries=5))
    connection = script.connect(win=0)
    connection.send(b"waiting")
    script.out()
    assert script.wait(600 * SECOND) == [". 0:0 1"] * 5
    assert connection.state is State.CLOSED


def test_nobody_waits_for_ever_for_an_orphans_window() -> None:
    script = Script(bare(orphan_retries=3))
    connection = script.connect(win=0)
    connection.send(b"waiting")
    connection.close()
    script.out()
    for _ in range(100):
        if script.wait(SECOND):
            script.inject(".", 1, 1, win=0)
    assert connection.state is State.CLOSED


@pytest.mark.requirement("RFC 9293", "MUST-34", "SHLD-17", "MUST-35")
def test_a_window_that_shrinks_is_survived() -> None:
    """Section 3.8.6.2.1, SHLD-15 and MUST-34: SND.UNA+SND.WND may go back."""
    script = Script(bare(retries=3))
    connection = script.connect(win=5000)
    connection.send(b"x" * 2920)
    script.out()
    script.inject(".", 1, 1, win=0)
    for _ in range(3000):
        if script.wait(100 * MS):
            script.inject(".", 1, 1, win=0)
    assert connection.state is State.ESTABLISHED
    script.wait(120 * SECOND)
    script.inject(".", 1, 1461, win=5000)
    script.wait(120 * SECOND)
    script.inject(".", 1, 2921, win=5000)
    assert connection.idle


@pytest.mark.requirement("RFC 9293", "MUST-34", "SHLD-15", "SHLD-16", "MAY-7")
def test_a_window_that_shrinks_lets_old_data_leave_and_no_new() -> None:
    """Section 3.8.6: SHLD-15, SHLD-16 and MAY-7."""
    script = Script()
    connection = script.connect(win=5000)
    connection.send(b"x" * 2920)
    script.out()
    assert script.inject(".", 1, 1, win=1000) == []
    connection.send(b"y" * 1460)
    assert script.out() == []
    assert script.wait(SECOND)[0] == ". 1:1461 1"
    assert script.inject(".", 1, 2921, win=1460) == ["P. 2921:4381 1"]


def test_an_older_segment_does_not_change_the_window() -> None:
    """Section 3.10.7.4, fifth: SND.WL1 and SND.WL2."""
    script = Script()
    connection = script.connect()
    script.inject("P.", 1, 1, b"ab", win=5000)
    script.inject("P.", 3, 1, b"cd", win=6000)
    assert connection.send_window == 6000
    script.inject("P.", 1, 1, b"ab", win=4000)
    assert connection.send_window == 6000


def test_the_send_buffer_is_bounded() -> None:
    script = Script(bare(send_buffer=10_000))
    connection = script.connect()
    assert connection.send(b"x" * 8000) == 8000
    assert connection.room == 2000
    assert connection.send(b"x" * 8000) == 2000
    assert connection.send(b"x") == 0
    script.out()
    script.inject(".", 1, 1461)
    assert Writable() not in script.events
    script.inject(".", 1, 2921)
    assert script.events.count(Writable()) == 1
    assert connection.room == 2920
    script.inject(".", 1, 10_001)
    assert script.events.count(Writable()) == 1


def test_large_segments() -> None:
    """With ``gso`` a segment has up to 64 KiB, and its pieces are full."""
    script = Script(TcpConfig(gso=True, timestamps=False, sack=False))
    connection = script.connect(SCALED)
    script.inject(".", 1, 1, win=65535)
    connection.send(b"x" * 1_000_000)
    script.out()
    assert [(len(s.payload), s.gso_size) for s in script.last] == [(14600, 1460)]
    script.inject(".", 1, 14601, win=65535)
    assert [(len(s.payload), s.gso_size) for s in script.last] == [(29200, 1460)]
    script.inject(".", 1, 43801, win=65535)
    script.inject(".", 1, 43801 + 58400, win=65535)
    assert [(len(s.payload), s.gso_size) for s in script.last] == [
        (64240, 1460),
        (52560, 1460),
    ]


def test_a_large_segment_has_no_small_tail_that_nagle_forbids() -> None:
    script = Script(bare(gso=True))
    connection = script.connect()
    connection.send(b"x")
    script.out()
    connection.send(b"y" * 3000)
    script.out()
    assert [(len(s.payload), s.gso_size) for s in script.last] == [(2920, 1460)]


def test_a_large_segment_is_repeated_only_where_it_was_lost() -> None:
    script = Script(TcpConfig(gso=True, timestamps=False, window_scaling=False))
    connection = script.connect(SACK_PERMITTED)
    connection.send(b"x" * 14600)
    assert script.out() == ["P. 1:14601 1"]
    script.now += 50 * MS
    assert script.inject(".", 1, 1461, options=script.sack((2921, 14601))) == [". 1461:2921 1"]


def test_closed_is_not_reported_twice() -> None:
    script = Script()
    connection = script.connect()
    connection.abort()
    connection.abort()
    connection.close()
    connection.shutdown()
    script.out()
    assert len([event for event in script.events if isinstance(event, Closed)]) == 1


@pytest.mark.parametrize("pieces", [[1] * 40, [1460] * 3, [5000], [0, 3, 0, 4000, 1]])
def test_what_is_sent_is_what_was_given(pieces: list[int]) -> None:
    script = Script(bare(nagle=False))
    connection = script.connect()
    data = b"".join(bytes([65 + index]) * size for index, size in enumerate(pieces))
    at = 0
    for size in pieces:
        connection.send(data[at : at + size])
        at += size
    script.out()
    assert b"".join(segment.payload for segment in script.last) == data


@pytest.mark.requirement("RFC 9293", "MUST-61")
def test_a_repeated_last_segment_is_pushed() -> None:
    """RFC 9293, MUST-61: PSH is on the last buffered segment, each time it leaves."""
    script = Script()
    connection = script.connect()
    connection.send(b"x" * 3000)
    assert script.out()[-1] == "P. 2921:3001 1"
    seen = script.wait(SECOND)
    assert ". 1:1461 1" in seen
    script.inject(".", 1, 2921)
    assert script.wait(2 * SECOND)[0] == "P. 2921:3001 1"


@pytest.mark.requirement("RFC 9293", "MUST-14", "MUST-16")
@pytest.mark.parametrize("mss", [87, 64, 20, 1])
def test_a_peers_small_mss_is_kept(mss: int) -> None:
    """RFC 9293, MUST-16."""
    script = Script()
    connection = script.open()
    script.out()
    script.inject("S.", 0, 1, options=(MaximumSegmentSize(mss),))
    connection.send(b"x" * 1000)
    script.out()
    assert sizes(script) == [mss] * 10


def test_a_peers_small_mss_leaves_an_octet_beside_the_options() -> None:
    script = Script(TcpConfig(sack=False, window_scaling=False))
    connection = script.open()
    script.out()
    script.inject("S.", 0, 1, options=(MaximumSegmentSize(5), Timestamps(1000, 0)))
    connection.send(b"x" * 1000)
    script.out()
    assert sizes(script) == [1] * 10


def test_small_segments_do_not_fill_the_memory() -> None:
    """However large the window and small the MSS, only so many are outstanding."""
    script = Script(bare(nagle=False, sack=True, window_scaling=True))
    connection = script.open()
    script.out()
    script.inject("S.", 0, 1, options=(MaximumSegmentSize(1), WindowScale(14), SackPermitted()))
    connection.send(bytes(1 << 20))
    script.out()
    acked = 10
    while acked < 60_000:
        script.now += MS
        script.inject(".", 1, 1 + acked)
        acked += len(script.last)
        assert connection.in_flight <= MOST_RECORDS
        if not script.last:
            break
    assert len(connection.sender.board.records) <= MOST_RECORDS


def test_a_reduction_starts_from_the_window_that_was_used() -> None:
    """RFC 9438, section 4.6: ACKs of a part of a burst do not make the rest of it the flight."""
    script = Script(TcpConfig(timestamps=False))
    connection = script.connect((*SACK_PERMITTED, *SCALED))
    connection.send(bytes(400 * 1460))
    script.out()
    acked = 0
    while connection.cwnd < 100 * 1460:
        script.now += 50 * MS
        acked = connection.sender.next
        script.inject(".", 1, 1 + acked)
    window = connection.cwnd
    sent = connection.sender.next
    script.now += 50 * MS
    # Most of the burst has been acknowledged before a loss is found at its end.
    connection.send(b"")
    script.inject(".", 1, 1 + sent - 20 * 1460, take=False)
    grown = connection.cwnd
    script.inject(".", 1, 1 + sent - 20 * 1460,
                  options=script.sack((1 + sent - 15 * 1460, 1 + sent)), take=False)  # fmt: skip
    assert connection.recovering
    assert connection.congestion.threshold >= 0.69 * window
    assert connection.congestion.threshold <= 0.71 * grown


def test_what_the_application_did_not_use_is_not_kept() -> None:
    """RFC 9438, section 4.6: there the flight counts, as the window says nothing."""
    script = Script(TcpConfig(timestamps=False))
    connection = script.connect((*SACK_PERMITTED, *SCALED))
    for number in range(5):
        connection.send(bytes(4 * 1460))
        script.out()
        script.now += 50 * MS
        if number < 4:
            script.inject(".", 1, 1 + connection.sender.next)
    end = 1 + connection.sender.next
    script.inject(".", 1, end - 4 * 1460, options=script.sack((end - 3 * 1460, end)))
    assert connection.congestion.threshold == int(4 * 1460 * 0.7)
