"""The receiving half: RFC 9293, section 3.10.7.4; RFC 2018, 2883, 5681 (4.2), 7323."""

from __future__ import annotations

import tracemalloc

import pytest

from testbed.packet.options import Timestamps, UnknownOption
from testbed.stack.connection import Readable
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.state import State

from .script import MS, SACK_PERMITTED, SCALED, SECOND, Script, bare

PLAIN_SACK = TcpConfig(timestamps=False, window_scaling=False)
QUICK = 30  # segments acknowledged at once in the beginning


def settled(script: Script) -> int:
    """Have so much arrive that ACKs are delayed from now on; return the next sequence number."""
    for number in range(QUICK):
        script.inject(".", 1 + number * 1460, 1, b"s" * 1460)
    while script.connection.read(1 << 20):
        pass
    script.out()
    script.events.clear()
    return 1 + QUICK * 1460


@pytest.mark.requirement("RFC 9293", "SHLD-19")
def test_every_second_full_segment_is_acknowledged() -> None:
    """RFC 9293, section 3.8.6.3, MUST-59; RFC 5681, section 4.2."""
    script = Script()
    script.connect()
    at = settled(script)
    assert script.inject(".", at, 1, b"a" * 1460) == []
    assert script.inject(".", at + 1460, 1, b"b" * 1460) == [f". 1:1 {at + 2920}"]


@pytest.mark.requirement("RFC 9293", "SHLD-18", "MUST-40")
def test_one_segment_is_acknowledged_after_40_ms() -> None:
    """MUST-40: less than half a second."""
    script = Script(bare())
    script.connect()
    at = settled(script)
    assert script.inject(".", at, 1, b"a") == []
    assert script.times(SECOND) == [(40, f". 1:1 {at + 1}")]


def test_a_large_segment_counts_as_several() -> None:
    script = Script()
    script.connect()
    at = settled(script)
    assert script.inject(".", at, 1, b"a" * 14600, gso_size=1460) == [
        f". 1:1 {at + 2920 * number}" for number in range(1, 6)
    ]


def test_the_first_segments_are_acknowledged_at_once() -> None:
    """The peer is in slow start, and learns from their spacing how fast the path is."""
    script = Script()
    script.connect()
    assert script.inject("P.", 1, 1, b"a") == [". 1:1 2"]
    for number in range(1, QUICK):
        at = 2 + (number - 1) * 1460
        assert script.inject(".", at, 1, b"a" * 1460) == [f". 1:1 {at + 1460}"]
    assert script.inject(".", at + 1460, 1, b"a" * 1460) == []


@pytest.mark.requirement("RFC 9293", "MUST-58")
def test_data_carries_the_acknowledgment() -> None:
    script = Script()
    connection = script.connect()
    at = settled(script)
    script.inject("P.", at, 1, b"ask")
    connection.send(b"answer")
    assert script.out() == [f"P. 1:7 {at + 3}"]
    assert script.wait(100 * MS) == []


@pytest.mark.requirement("RFC 9293", "SHLD-31", "MAY-13")
def test_out_of_order_data_is_acknowledged_at_once_and_kept() -> None:
    """RFC 5681, section 4.2: also when a gap is filled."""
    script = Script()
    connection = script.connect()
    at = settled(script)
    assert script.inject(".", at + 3, 1, b"def") == [f". 1:1 {at}"]
    assert connection.read(10) == b""
    assert script.inject(".", at, 1, b"abc") == [f". 1:1 {at + 6}"]
    assert connection.read(10) == b"abcdef"


def test_overlaps_are_cut() -> None:
    script = Script()
    connection = script.connect()
    script.inject(".", 5, 1, b"efgh")
    script.inject(".", 3, 1, b"cdefghij")
    script.inject(".", 1, 1, b"abcd")
    assert connection.read(100) == b"abcdefghij"
    script.inject(".", 1, 1, b"abcdefghijkl")
    assert connection.read(100) == b"kl"


def test_sack_reports_the_latest_block_first() -> None:
    """RFC 2018, section 4."""
    script = Script(PLAIN_SACK)
    script.connect(SACK_PERMITTED)
    script.inject(".", 11, 1, b"b" * 10)
    assert script.sacked() == [(11, 21)]
    script.inject(".", 31, 1, b"d" * 10)
    assert script.sacked() == [(31, 41), (11, 21)]
    script.inject(".", 51, 1, b"f" * 10)
    assert script.sacked() == [(51, 61), (31, 41), (11, 21)]
    script.inject(".", 21, 1, b"c" * 10)
    assert script.sacked() == [(11, 41), (51, 61)]
    script.inject(".", 1, 1, b"a" * 10)
    assert script.sacked() == [(51, 61)]
    script.inject(".", 41, 1, b"e" * 10)
    assert script.sacked() == []


def test_blocks_beyond_the_room_come_in_turn() -> None:
    script = Script(PLAIN_SACK)
    script.connect(SACK_PERMITTED)
    for number in range(6):
        script.inject(".", 11 + 20 * number, 1, b"x" * 10)
    assert script.sacked() == [(111, 121), (91, 101), (71, 81), (51, 61)]


def test_timestamps_leave_room_for_three_blocks() -> None:
    script = Script(TcpConfig(window_scaling=False))
    script.accept((*SACK_PERMITTED, Timestamps(1, 0)))
    for number in range(6):
        script.inject(".", 11 + 20 * number, 1, b"x" * 10)
    assert len(script.sacked()) == 3


def test_a_duplicate_is_reported() -> None:
    """RFC 2883, section 4.1.1: a segment below the cumulative ACK."""
    script = Script(PLAIN_SACK)
    script.connect(SACK_PERMITTED)
    script.inject(".", 1, 1, b"a" * 10)
    script.inject(".", 1, 1, b"a" * 10)
    assert script.sacked() == [(1, 11)]
    script.inject(".", 11, 1, b"a" * 10)
    assert script.sacked() == []


def test_a_duplicate_above_is_reported_with_its_block() -> None:
    """RFC 2883, section 4.1.3: a block inside one out of order."""
    script = Script(PLAIN_SACK)
    script.connect(SACK_PERMITTED)
    script.inject(".", 11, 1, b"b" * 30)
    script.inject(".", 21, 1, b"b" * 10)
    assert script.sacked() == [(21, 31), (11, 41)]


def test_a_duplicate_in_the_middle_is_reported() -> None:
    """RFC 2883, section 4: any contiguous part of a segment that arrived before."""
    script = Script(PLAIN_SACK)
    script.accept(SACK_PERMITTED)
    script.inject(".", 11, 1, b"b" * 10)
    script.inject(".", 31, 1, b"d" * 10)
    script.inject(".", 61, 1, b"g" * 10)
    assert script.inject(".", 1, 1, b"x" * 50) == [". 1:1 51"]
    assert script.sacked() == [(11, 21), (61, 71)]
    assert script.inject(".", 51, 1, b"y" * 20) == [". 1:1 71"]
    assert script.sacked() == [(61, 71)]


def test_nothing_is_reported_that_was_thrown_away() -> None:
    """A segment that PAWS refuses has not arrived: no DSACK may say so."""
    script = Script(TcpConfig(window_scaling=False))
    script.accept((*SACK_PERMITTED, Timestamps(1000, 0)))
    script.inject(".", 11, 1, b"b" * 10, options=(Timestamps(900, 0),))
    assert script.sacked() == []


def test_what_is_not_kept_is_not_reported() -> None:
    """A DSACK for what the receiver threw away would have the sender forget it."""
    script = Script(PLAIN_SACK)
    connection = script.connect(SACK_PERMITTED)
    for number in range(17_000):
        script.inject(".", 3 + 2 * number, 1, b"x", take=False)
    script.inject(".", 60_000, 1, b"refused")
    assert all(not start <= 60_000 < end for start, end in script.sacked())
    assert connection.readable == 0


def test_without_sack_none_is_sent() -> None:
    script = Script(PLAIN_SACK)
    script.connect()
    script.inject(".", 11, 1, b"b" * 10)
    assert script.last[0].options == ()


def test_an_old_timestamp_is_refused() -> None:
    """RFC 7323, section 5.3, R1 (PAWS)."""
    script = Script(TcpConfig(sack=False, window_scaling=False))
    connection = script.accept((Timestamps(1000, 0),))
    assert script.inject("P.", 1, 1, b"new", options=(Timestamps(1010, 0),)) == [". 1:1 4"]
    assert script.inject("P.", 4, 1, b"old", options=(Timestamps(1009, 0),)) == [". 1:1 4"]
    assert connection.read(10) == b"new"


def test_a_reset_needs_no_timestamp() -> None:
    """RFC 7323, section 3.2: RST is accepted with any timestamp."""
    script = Script(TcpConfig(sack=False, window_scaling=False))
    connection = script.accept((Timestamps(1000, 0),))
    script.inject("R", 1, options=(Timestamps(1, 0),))
    assert connection.closed


def test_timestamps_survive_24_days_of_silence() -> None:
    """RFC 7323, section 5.5."""
    script = Script(TcpConfig(sack=False, window_scaling=False))
    connection = script.accept((Timestamps(1000, 0),))
    script.now += 25 * 24 * 3600 * SECOND
    script.inject("P.", 1, 1, b"back", options=(Timestamps(1000 - 5, 0),))
    assert connection.read(10) == b"back"


def test_the_echo_is_that_of_the_segment_that_advanced_the_window() -> None:
    """RFC 7323, section 4.3, cases A and B."""
    script = Script(TcpConfig(sack=False, window_scaling=False))
    script.accept((Timestamps(1000, 0),))
    script.inject("P.", 11, 1, b"later", options=(Timestamps(1020, 0),))
    assert script.last[0].options[0].echo == 1000  # type: ignore[attr-defined]
    script.inject("P.", 1, 1, b"0123456789", options=(Timestamps(1030, 0),))
    assert script.last[0].options[0].echo == 1030  # type: ignore[attr-defined]


@pytest.mark.requirement("RFC 9293", "SHLD-14", "MAY-8", "MUST-39")
def test_the_window_is_honest_and_its_edge_never_goes_back() -> None:
    """Section 3.8.6.2.1, SHLD-14; silly window avoidance of 3.8.6.2.2, MUST-39."""
    script = Script(bare(receive_buffer=8000))
    connection = script.connect()
    edge = 8001
    for number in range(5):
        script.inject(".", 1 + number * 1460, 1, b"x" * 1460)
        assert script.last[0].ack == (0xFFFF_FF00 + 1 + (number + 1) * 1460) & 0xFFFF_FFFF
        assert 1 + (number + 1) * 1460 + script.last[0].window == edge
    script.inject(".", 7301, 1, b"y" * 1460)  # 700 octets fit
    assert connection.readable == 8000
    assert script.last[0].window == 0
    assert connection.read(100) == b"x" * 100
    assert script.out() == []  # the change is too small to advertise
    connection.read(2000)
    assert script.out() == [". 1:1 8001"]
    assert script.last[0].window == 2100


@pytest.mark.requirement("RFC 9293", "MUST-39")
def test_a_window_that_was_closed_opens_by_a_segment() -> None:
    """Section 3.8.6.2.2, MUST-39: no ACK advertises a small window in the meantime."""
    script = Script(bare(receive_buffer=8000))
    connection = script.connect()
    for number in range(6):
        script.inject(".", 1 + number * 1460, 1, b"x" * 1460)
    for octets, window in ((100, 0), (1359, 0), (1, 1460)):
        connection.read(octets)
        assert script.inject(".", 8000, 1) == [". 1:1 8001"]  # a probe
        assert script.last[0].window == window


@pytest.mark.requirement("RFC 9293", "SHLD-14")
@pytest.mark.parametrize("size", [1, 999])
def test_the_edge_of_a_scaled_window_is_that_of_the_buffer(size: int) -> None:
    """RFC 7323, section 2.4: it goes back by less than a unit, and what was offered is taken."""
    whole = {"receive_buffer": 1_000_000, "receive_buffer_initial": 0}
    script = Script(bare(**whole, window_scaling=True))
    connection = script.connect(SCALED)
    edges = []
    for number in range(QUICK):
        script.inject(".", 1 + number * size, 1, b"x" * size)
        edges.append(1 + (number + 1) * size + (script.last[0].window << 4))
    assert connection.readable == QUICK * size
    assert min(edges) > 1_000_001 - 16
    assert max(edges) <= 1_000_001
    script.inject(".", max(edges) - 1, 1, b"x")
    assert connection.receiver.buffer.around(max(edges) - 2) is not None


def test_data_beyond_the_window_is_not_taken() -> None:
    script = Script(bare(receive_buffer=3000))
    connection = script.connect()
    assert script.inject(".", 5000, 1, b"far") == [". 1:1 1"]
    script.inject(".", 1, 1, b"x" * 4000)
    assert connection.readable == 3000


@pytest.mark.requirement("RFC 9293", "MUST-66")
def test_acks_and_resets_count_though_the_window_is_closed() -> None:
    """Section 3.10.7.4, first: MUST-66."""
    script = Script(bare(receive_buffer=3000))
    connection = script.connect()
    connection.send(b"data")
    script.out()
    script.inject(".", 1, 1, b"x" * 3000)
    assert script.inject(".", 3001, 5) == []
    assert connection.idle
    assert script.inject(".", 3001, 5, b"z") == [". 5:5 3001"]  # a probe of the window
    script.inject("R", 3001)
    assert connection.closed


def test_nothing_lies_behind_a_fin() -> None:
    script = Script()
    connection = script.connect()
    script.inject("F.", 4, 1)
    script.inject(".", 4, 1, b"never")
    script.inject(".", 1, 1, b"abc")
    assert connection.read(100) == b"abc"
    assert connection.at_eof


def test_octets_that_come_one_at_a_time_fill_no_memory() -> None:
    """Every second octet of a window: what is kept is bounded, and nothing breaks."""
    script = Script(TcpConfig(timestamps=False, sack=False))
    connection = script.connect(SCALED)
    tracemalloc.start()
    for number in range(18_000):
        script.inject(".", 3 + 2 * number, 1, b"x", take=False)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 8 << 20
    for start in range(1, 45_000, 1460):
        script.inject(".", start, 1, b"x" * 1460)
    assert connection.readable == -(-45_000 // 1460) * 1460


def test_an_ack_that_was_overtaken_still_counts() -> None:
    script = Script()
    connection = script.connect()
    at = settled(script)
    connection.send(b"data")
    script.out()
    script.inject("P.", at, 1, b"later")
    script.inject(".", at, 5)
    assert connection.idle


def test_a_segment_without_ack_is_dropped() -> None:
    """Section 3.10.7.4, fifth."""
    script = Script()
    connection = script.connect()
    assert script.inject("P", 1, payload=b"x") == []
    assert connection.readable == 0


def test_readable_is_reported_once_until_it_is_taken() -> None:
    script = Script()
    connection = script.connect()
    script.events.clear()
    for number in range(3):
        script.inject("P.", 1 + number, 1, b"x", take=False)
    script.out()
    assert script.events == [Readable()]
    script.inject("P.", 4, 1, b"x")
    assert script.events == [Readable(), Readable()]
    assert connection.read(2) == b"xx"
    assert connection.read(100) == b"xx"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_reading_in_pieces(size: int) -> None:
    script = Script()
    connection = script.connect()
    data = bytes(range(256)) * 16
    for start in range(0, len(data), 300):
        script.inject(".", 1 + start, 1, data[start : start + 300])
    read = b""
    while part := connection.read(size):
        assert len(part) <= size
        read += part
    assert read == data


@pytest.mark.parametrize("scaled", [False, True])
def test_reading_is_told_only_when_the_window_has_doubled(scaled: bool) -> None:
    """RFC 5681, section 4.2, and 9293, 3.8.6.2.2: 16 bits say no more, however large the buffer."""
    script = Script(bare(receive_buffer=4 << 20, window_scaling=scaled))
    connection = script.connect(SCALED if scaled else ())
    seq = 1
    for _ in range(60):
        script.inject(".", seq, 1, b"x" * 1000)
        seq += 1000
    script.wait(SECOND)
    for _ in range(30):
        connection.read(1000)
        assert script.out() == []


def test_a_window_that_has_doubled_is_told_without_scaling() -> None:
    script = Script(bare(receive_buffer=60_000, window_scaling=False))
    connection = script.connect()
    for number in range(50):
        script.inject(".", 1 + 1000 * number, 1, b"x" * 1000)
    assert script.last[-1].window == 10_000
    connection.read(9000)
    assert script.out() == []
    connection.read(2000)
    assert script.out() == [". 1:1 50001"]
    assert script.last[-1].window == 21_000


def test_a_fin_where_another_piece_begins_ends_the_stream() -> None:
    """RFC 9293, 3.10.7.4, eighth: nothing lies behind it, also what came before."""
    script = Script()
    connection = script.connect()
    script.inject(".", 11, 1, b"behind the end")
    script.inject("F.", 1, 1, b"0123456789")
    assert connection.read(100) == b"0123456789"
    assert connection.at_eof
    assert connection.state is State.CLOSE_WAIT
    script.inject(".", 11, 1, b"behind the end")
    assert connection.read(100) == b""


def test_a_fin_out_of_order_cuts_what_lies_behind_it() -> None:
    script = Script()
    connection = script.connect()
    script.inject(".", 6, 1, b"5678901234567890")
    script.inject("F.", 8, 1, b"789")
    script.inject(".", 1, 1, b"01234")
    assert connection.read(100) == b"0123456789"
    assert connection.at_eof


def test_a_reset_before_the_window_is_not_answered() -> None:
    """RFC 5961, section 3.2, 1: outside of the window it is dropped, wherever it lies."""
    script = Script()
    script.connect()
    for number in range(40):
        script.inject(".", 1 + number, 1, b"x")
    script.inject(".", 41, 1, b"y", take=False)
    script.endpoint.segments_to_send(script.now)
    connection = script.connection
    assert connection.receiver.acknowledged <= connection.receiver.next
    script.inject(".", 42, 1, b"z")  # not acknowledged yet
    for seq in (1, 30, 41, 42, 43 + 70_000, 43 + connection.config.receive_buffer):
        assert script.inject("R", seq) == []
    assert script.inject("R", 50) != []


@pytest.mark.requirement("RFC 9293", "SHLD-19")
def test_a_small_batch_is_acknowledged_every_second_segment() -> None:
    """RFC 9293, section 3.8.6.3: merging segments on their way in changes nothing for the peer."""
    script = Script()
    script.connect()
    for number in range(30):
        script.inject(".", 1 + 1000 * number, 1, b"x" * 1000)
    seen = script.inject(".", 30001, 1, b"y" * 5000, gso_size=1000)
    assert seen == [". 1:1 32001", ". 1:1 34001"]
    windows = [(segment.ack + segment.window) & 0xFFFF_FFFF for segment in script.last]
    assert windows == sorted(windows)
    assert script.wait(SECOND) == [". 1:1 35001"]


@pytest.mark.requirement("RFC 9293", "MUST-58")
def test_a_large_batch_is_acknowledged_once() -> None:
    """At this speed ACKs are no clock; Linux, too, sends one ACK for a merged segment."""
    script = Script()
    script.connect(SCALED)
    seen = script.inject(".", 1, 1, b"y" * 44_000, gso_size=1000)
    assert seen == [". 1:1 44001"]


@pytest.mark.requirement("RFC 9293", "MUST-59")
def test_segments_that_come_in_one_round_are_acknowledged_every_second_one() -> None:
    """RFC 9293, section 3.8.6.3: also those that cannot be merged, as MPTCP's mappings differ."""
    script = Script()
    script.connect()
    start = settled(script)
    for number in range(7):
        script.inject(".", start + 1460 * number, 1, b"x" * 1460, take=False)
    assert script.out() == [f". 1:1 {start + 1460 * number}" for number in (2, 4, 7)]
    assert script.out() == []
    start += 7 * 1460
    for number in range(40):
        script.inject(".", start + 1460 * number, 1, b"x" * 1460, take=False)
    assert len(script.out()) == 9


@pytest.mark.requirement("RFC 9293", "MUST-6")
def test_options_nobody_knows_change_nothing() -> None:
    """RFC 9293, section 3.1, MUST-6."""
    script = Script()
    script.options = (UnknownOption(253, b"unknown"), UnknownOption(200, b""))
    connection = script.connect(script.options)
    assert script.inject("P.", 1, 1, b"data") == [". 1:1 5"]
    assert connection.read(10) == b"data"
