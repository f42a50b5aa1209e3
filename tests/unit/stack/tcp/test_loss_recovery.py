"""RFC 6298, 5681, 6582, 6675, 8985, 9937, 3042, 2883, 3522: how losses are found and repaired."""

from __future__ import annotations

import pytest

from testbed.packet.options import Timestamps
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.state import State

from .script import MS, SACK_PERMITTED, SCALED, SECOND, Script, bare

SACK = TcpConfig(timestamps=False, window_scaling=False)
MSS = 1460


def at(segment: int) -> int:
    """Return the sequence number of a full-sized segment, counted from 0."""
    return 1 + segment * MSS


def sending(script: Script, segments: int, *, sack: bool = True) -> Script:
    """Connect, and send so many segments at once; the round trip takes 50 ms."""
    connection = script.connect((*SACK_PERMITTED, *SCALED) if sack else ())
    connection.send(b"x" * (segments * MSS))
    assert len(script.out()) == min(segments, 10)
    script.now += 50 * MS
    return script


def repeated(segment: int) -> str:
    return f". {at(segment)}:{at(segment + 1)} 1"


@pytest.mark.requirement("RFC 9293", "MUST-18")
def test_the_timeout_follows_the_round_trip_time() -> None:
    """RFC 6298, section 2: SRTT = R, RTTVAR = R/2; Linux' floor is for the variance term."""
    script = Script()
    connection = script.connect()
    assert connection.smoothed_rtt_ns == 50 * MS
    assert connection.rto_ns == 250 * MS
    connection.send(b"x")
    script.out()
    assert script.times(2 * SECOND) == [
        (250, "P. 1:2 1"),
        (750, "P. 1:2 1"),
        (1750, "P. 1:2 1"),
    ]
    assert connection.backoffs == 3


def test_the_timer_starts_anew_with_each_acknowledgment() -> None:
    """RFC 6298, section 5.3."""
    script = sending(Script(), 2, sack=False)
    script.now += 150 * MS
    script.inject(".", 1, at(1))
    rto = script.connection.rto_ns // MS
    assert script.times(SECOND)[0] == (rto, "P" + repeated(1))


@pytest.mark.requirement("RFC 9293", "MUST-18")
def test_the_first_sample_sets_the_timeout() -> None:
    """RFC 6298, section 2.2: SRTT is the sample, RTTVAR half of it, and RTO SRTT + 4 RTTVAR."""
    script = Script()
    connection = script.open()
    script.out()
    script.now += 900 * MS
    script.inject("S.", 0, 1)
    assert connection.smoothed_rtt_ns == 900 * MS
    assert connection.rtt_variance_ns == 450 * MS
    assert connection.rto_ns == 2700 * MS


@pytest.mark.requirement("RFC 9293", "MUST-18")
def test_what_was_sent_twice_gives_no_sample() -> None:
    """RFC 6298, section 3 (Karn)."""
    script = Script()
    connection = script.connect()
    connection.send(b"x")
    script.out()
    script.wait(780 * MS)
    script.inject(".", 1, 2)
    assert connection.smoothed_rtt_ns == 50 * MS


@pytest.mark.requirement("RFC 9293", "MUST-18", "MUST-19")
def test_the_back_off_ends_with_a_sample() -> None:
    """RFC 6298, section 5, rule 5.5 and the last paragraph: the RTO stays doubled until then."""
    script = Script()
    connection = script.connect()
    connection.send(b"x")
    script.out()
    assert script.times(780 * MS) == [(250, "P. 1:2 1"), (750, "P. 1:2 1")]
    script.inject(".", 1, 2)  # of which transmission?
    assert connection.backoffs == 2
    assert connection.info()["retransmits"] == 0
    connection.send(b"y")
    script.out()
    assert script.times(1100 * MS) == [(1000, "P. 2:3 1")]
    script.inject(".", 1, 3)
    connection.send(b"z")
    script.out()
    script.now += 50 * MS
    script.inject(".", 1, 4)
    assert connection.backoffs == 0
    assert connection.rto_ns < 260 * MS


def test_data_that_is_answered_late_each_time_is_not_given_up() -> None:
    """R2 (RFC 9293, section 3.8.3) counts the retransmissions of one segment."""
    script = Script(bare(retries=3))
    connection = script.connect()
    for sent in range(1, 8):
        connection.send(b"x")
        script.out()
        script.wait(connection.rto_ns + MS)
        script.inject(".", 1, 1 + sent)
    assert connection.state is State.ESTABLISHED


def test_what_waited_for_a_retransmission_gives_no_sample() -> None:
    """Without SACK, data acknowledged with a repeated segment may have arrived long before."""
    script = sending(Script(), 5, sack=False)
    assert repeated(0) in script.wait(4 * SECOND)
    script.inject(".", 1, at(5))
    assert script.connection.smoothed_rtt_ns == 50 * MS


def test_with_timestamps_it_does() -> None:
    """RFC 7323, section 4.1."""
    script = Script(TcpConfig(sack=False, window_scaling=False))
    connection = script.accept((Timestamps(1000, 0),))
    connection.send(b"x")
    script.out()
    first = connection.smoothed_rtt_ns
    assert script.wait(260 * MS) == ["P. 1:2 1"]
    (timestamps,) = script.last[0].options
    assert isinstance(timestamps, Timestamps)
    script.wait(30 * MS)
    script.inject(".", 1, 2, options=(Timestamps(1400, timestamps.value),))
    assert first == 50 * MS
    assert connection.smoothed_rtt_ns != first


@pytest.mark.requirement("RFC 9293", "MUST-19")
def test_a_timeout_repeats_from_the_first_and_starts_slowly() -> None:
    """RFC 5681, section 3.1: the loss window is one segment; then slow start."""
    script = sending(Script(), 10, sack=False)
    assert script.wait(210 * MS) == [repeated(0)]
    connection = script.connection
    assert connection.cwnd == MSS
    assert connection.congestion.threshold == 7 * MSS  # CUBIC's beta
    assert script.inject(".", 1, at(1)) == [repeated(1), repeated(2)]
    assert script.inject(".", 1, at(3)) == [repeated(n) for n in (3, 4, 5, 6)]


def test_three_duplicates_without_sack() -> None:
    """RFC 5681, section 3.2; RFC 6582, section 3.2, steps 2 to 3."""
    script = sending(Script(), 20, sack=False)
    connection = script.connection
    assert script.inject(".", 1, 1) == [f". {at(10)}:{at(11)} 1"]  # limited transmit, RFC 3042
    assert script.inject(".", 1, 1) == [f". {at(11)}:{at(12)} 1"]
    assert script.inject(".", 1, 1)[0] == repeated(0)
    assert connection.recovering
    assert script.inject(".", 1, at(3))[0] == repeated(3)  # a partial ACK
    assert connection.recovering
    script.inject(".", 1, at(12))
    assert not connection.recovering
    assert connection.cwnd <= 9 * MSS


def test_an_ack_with_data_or_another_window_is_no_duplicate() -> None:
    """RFC 5681, section 2."""
    script = sending(Script(), 10, sack=False)
    for number in range(5):
        script.inject(".", 1 + number, 1, b"d")
        script.inject(".", 2 + number, 1, win=30_000 + number)
    assert not script.connection.recovering


def test_sack_tells_the_loss_by_three_segments() -> None:
    """RFC 6675, section 5, step 4; RFC 8985, section 6.2, step 4."""
    script = sending(Script(SACK), 10)
    assert script.inject(".", 1, 1, options=script.sack((at(1), at(2)))) == []
    assert script.inject(".", 1, 1, options=script.sack((at(1), at(3)))) == []
    assert script.inject(".", 1, 1, options=script.sack((at(1), at(4)))) == [repeated(0)]
    assert script.connection.recovering
    script.inject(".", 1, at(10))
    assert not script.connection.recovering
    assert script.connection.cwnd == 7 * MSS


def test_octets_out_of_order_do_not_open_the_window() -> None:
    """RFC 6675, section 5, step 3: limited transmit keeps to cwnd; RFC 5681, section 3.1."""
    script = sending(Script(SACK), 20)
    connection = script.connection
    blocks = script.sack((at(1), at(2)))
    assert script.inject(".", 1, 1, options=blocks) == [f". {at(10)}:{at(11)} 1"]
    blocks = script.sack((at(1), at(3)))
    assert script.inject(".", 1, 1, options=blocks) == [f". {at(11)}:{at(12)} 1"]
    assert connection.cwnd == 10 * MSS
    script.inject(".", 1, at(3))
    assert connection.cwnd == 11 * MSS


def test_only_what_is_missing_is_repeated() -> None:
    """RFC 6675, section 4, NextSeg rule 1."""
    script = sending(Script(SACK), 10)
    blocks = script.sack((at(9), at(10)), (at(5), at(8)), (at(1), at(4)))
    seen = script.inject(".", 1, 1, options=blocks)
    script.now += 50 * MS
    seen += script.inject(".", 1, at(4), options=script.sack((at(9), at(10)), (at(5), at(8))))
    assert seen == [repeated(0), repeated(4), repeated(8)]


def test_reordering_is_waited_for_once_it_has_been_seen() -> None:
    """RFC 8985, section 6.2, steps 3 and 4: a quarter of the round trip."""
    script = sending(Script(SACK), 10)
    script.inject(".", 1, 1, options=script.sack((at(1), at(2))))
    script.inject(".", 1, at(10))  # the first was late, not lost
    script.connection.send(b"y" * 10 * MSS)
    script.out()
    script.now += 50 * MS
    assert script.inject(".", 1, at(10), options=script.sack((at(11), at(16)))) == []
    assert script.times(100 * MS)[0] == (12, repeated(10))


def test_a_lost_retransmission_is_found_without_a_timeout() -> None:
    """RFC 8985, section 3.2's motive."""
    script = sending(Script(SACK), 40)
    assert repeated(0) in script.inject(".", 1, 1, options=script.sack((at(1), at(10))))
    script.now += 10 * MS
    later = script.inject(".", 1, 1, options=script.sack((at(1), at(12))))
    script.inject(".", 1, 1, options=script.sack((at(1), at(14))))
    script.now += 50 * MS
    end = int(later[-1].split(":")[1].split()[0])
    seen = script.inject(".", 1, 1, options=script.sack((at(1), end)))
    assert repeated(0) in seen
    assert script.connection.info()["total_rto"] == 0


def test_the_last_segment_is_probed() -> None:
    """RFC 8985, section 7.3: after two round trips, new data or the last segment again."""
    script = sending(Script(SACK), 5)
    script.inject(".", 1, at(3))
    assert script.times(190 * MS) == [(100, f"P. {at(4)}:{at(5)} 1")]
    assert script.connection.backoffs == 0


def test_nothing_is_probed_while_losses_are_repaired() -> None:
    """RFC 8985, section 7.2: what recovery sends is for its congestion window to say."""
    script = sending(Script(SACK), 10)
    assert script.inject(".", 1, 1, options=script.sack((at(1), at(9)))) == [repeated(0)]
    assert script.wait(190 * MS) == []


def test_a_single_segment_waits_for_a_delayed_ack() -> None:
    """RFC 8985, section 7.2: WCDelAckT."""
    script = Script(TcpConfig(timestamps=False, window_scaling=False, rto_min_ns=SECOND))
    connection = script.connect(SACK_PERMITTED)
    connection.send(b"x")
    script.out()
    assert script.times(SECOND) == [(300, "P. 1:2 1")]


def test_a_probe_comes_no_later_than_the_timeout_would() -> None:
    """RFC 8985, section 7.2: PTO ends with the RTO; cwnd outlives one lost segment."""
    script = Script(SACK)
    connection = script.connect(SACK_PERMITTED)
    connection.send(b"x")
    script.out()
    assert script.times(260 * MS) == [(250, "P. 1:2 1")]
    assert connection.cwnd == 10 * MSS
    assert script.times(SECOND)[:2] == [(240, "P. 1:2 1"), (740, "P. 1:2 1")]
    assert connection.cwnd == MSS


def test_a_probe_that_repaired_a_loss_counts_as_one() -> None:
    """RFC 8985, section 7.4.2."""
    script = sending(Script(SACK), 5)
    connection = script.connection
    script.inject(".", 1, at(4))
    assert len(script.wait(350 * MS)) == 1
    connection.send(b"y" * MSS)
    script.out()
    script.now += 50 * MS
    script.inject(".", 1, at(6))
    assert connection.congestion.threshold < 10 * MSS


def test_a_probe_for_nothing_is_forgiven() -> None:
    script = sending(Script(SACK), 5)
    connection = script.connection
    script.inject(".", 1, at(4))
    assert len(script.wait(350 * MS)) == 1
    script.inject(".", 1, at(5), options=script.sack((at(4), at(5))))  # DSACK
    connection.send(b"y" * MSS)
    script.out()
    script.now += 50 * MS
    script.inject(".", 1, at(6))
    assert connection.congestion.threshold > 1 << 30


def test_probes_for_nothing_do_not_put_the_timeout_off_for_ever() -> None:
    """RFC 8985, section 7.2: without progress no further probe is armed, so the RTO backs off.

    A forged ACK has said that more has arrived than did: the peer answers each probe by DSACK, and
    can never acknowledge anything new.
    """
    script = sending(Script(SACK), 5)
    script.inject(".", 1, at(3))
    sent = 0
    for _ in range(600):  # half a minute
        if script.wait(50 * MS):
            sent += 1
            blocks = ((at(4), at(5)), (at(2), at(5)))
            assert script.inject(".", 1, at(1), options=script.sack(*blocks)) == []
    assert 1 < sent < 15
    assert script.connection.backoffs > 3


def test_recovery_sends_in_proportion() -> None:
    """RFC 9937: beta segments for each that is delivered, not half a round trip of silence."""
    script = sending(Script(TcpConfig(timestamps=False)), 200)
    script.inject(".", 1, at(10))
    script.now += 50 * MS
    script.inject(".", 1, at(30))
    script.now += 50 * MS  # 40 in flight, of which the first is lost
    sent = []
    for number in range(31, 70):
        seen = script.inject(".", 1, at(30), options=script.sack((at(31), at(number + 1))))
        sent.append(len(seen))
    assert 0.6 * 39 <= sum(sent) <= 0.8 * 39 + 1
    assert max(sent) <= 2


def test_recovery_sends_what_is_delivered_and_one_more_when_it_gets_on() -> None:
    """RFC 9937, section 6.2: PRR-CRB, and PRR-SSRB only if SafeACK."""
    script = sending(Script(SACK), 10)
    script.inject(".", 1, 1, options=script.sack((at(1), at(3))))
    blocks = script.sack((at(8), at(9)), (at(1), at(3)))
    assert script.inject(".", 1, 1, options=blocks) == [repeated(0)]  # 3 to 7 are lost, too
    blocks = script.sack((at(8), at(10)), (at(1), at(3)))
    assert script.inject(".", 1, 1, options=blocks) == [repeated(3)]
    script.now += 50 * MS
    seen = script.inject(".", 1, at(3), options=script.sack((at(8), at(10))))
    assert seen == [repeated(4), repeated(5)]


def test_a_timeout_for_nothing_is_taken_back() -> None:
    """RFC 3522 and RFC 4015: the echoed timestamp is that of the original."""
    script = Script(TcpConfig(sack=False, window_scaling=False))
    connection = script.accept((Timestamps(1000, 0),))
    connection.send(b"x" * 1448 * 10)
    script.out()
    (original,) = script.last[0].options
    assert isinstance(original, Timestamps)
    assert len(script.wait(260 * MS)) == 1
    assert connection.cwnd == 1448
    seen = script.inject(".", 1, 1 + 1448, options=(Timestamps(1500, original.value),))
    assert seen == []
    assert connection.cwnd >= 14480
    assert connection.info()["lost"] == 0


def test_what_was_lost_is_told_of_until_it_is_acknowledged() -> None:
    """As tcpi_lost of Linux: 2 of 5 segments are lost, and one of them has been sent again."""
    script = sending(Script(SACK), 5)
    info = script.connection.info
    for end in (3, 4, 5):
        assert info()["lost"] == 0
        seen = script.inject(".", 1, 1, options=script.sack((at(2), at(end))))
    assert seen == [repeated(0)]
    assert info()["lost"] == 2
    script.inject(".", 1, at(1), options=script.sack((at(2), at(5))))
    assert info()["lost"] == 1
    script.inject(".", 1, at(5))
    assert info()["lost"] == 0


def test_fast_retransmissions_for_nothing_are_taken_back() -> None:
    """RFC 2883, RFC 3708: every repeated segment is reported as received twice."""
    script = sending(Script(SACK), 10)
    connection = script.connection
    assert script.inject(".", 1, 1, options=script.sack((at(1), at(4)))) == [repeated(0)]
    script.inject(".", 1, at(4))
    assert connection.recovering
    script.inject(".", 1, at(4), options=script.sack((at(0), at(1))))
    assert not connection.recovering
    assert connection.cwnd >= 10 * MSS


def test_what_the_network_doubles_takes_nothing_back() -> None:
    script = sending(Script(SACK), 10)
    connection = script.connection
    assert script.inject(".", 1, 1, options=script.sack((at(1), at(4)))) == [repeated(0)]
    script.inject(".", 1, 1, options=script.sack((at(1), at(2)), (at(1), at(4))))  # DSACK
    assert connection.recovering


def test_a_block_without_octets_takes_nothing_back() -> None:
    """RFC 2883, section 4: a DSACK block reports the octets that arrived twice."""
    script = sending(Script(SACK), 10)
    connection = script.connection
    assert script.inject(".", 1, 1, options=script.sack((at(1), at(4)))) == [repeated(0)]
    script.inject(".", 1, at(4), options=script.sack((at(1), at(1))))
    assert connection.recovering
    assert connection.info()["dsack_dups"] == 0


def test_one_late_segment_takes_nothing_back_while_others_are_lost() -> None:
    """As Linux does it; RFC 3522 would."""
    script = Script(TcpConfig(window_scaling=False))
    connection = script.accept((*SACK_PERMITTED, Timestamps(1000, 0)))
    connection.send(b"x" * 1448 * 10)
    script.out()
    (original,) = script.last[0].options
    assert isinstance(original, Timestamps)
    script.now += 50 * MS
    late = (Timestamps(1050, original.value),)
    blocks = script.sack((1 + 1448 * 3, 1 + 1448 * 9))
    assert len(script.inject(".", 1, 1, options=(*late, *blocks))) == 3
    script.now += 10 * MS
    script.inject(".", 1, 1 + 1448, options=(*late, *blocks))
    assert connection.recovering


def test_a_receiver_that_throws_away_what_it_has_sacked() -> None:
    """RFC 2018, section 8: after a timeout SACK information may not be trusted."""
    script = sending(Script(SACK), 5)
    script.inject(".", 1, 1, options=script.sack((at(1), at(5))))
    script.inject(".", 1, at(1))  # the rest is gone again
    seen = script.wait(5 * SECOND)
    assert repeated(1) in seen
    script.inject(".", 1, at(2))
    script.inject(".", 1, at(5))
    assert script.connection.idle


def test_a_long_silence_shrinks_the_window() -> None:
    """RFC 5681, section 4.1."""
    script = Script(bare())
    connection = script.connect()
    connection.send(b"x" * 40 * MSS)
    script.out()
    script.inject(".", 1, at(10))
    script.inject(".", 1, at(30))
    script.inject(".", 1, at(40))
    before = connection.cwnd
    assert before >= 30 * MSS
    script.now += 10 * SECOND
    connection.send(b"y" * 40 * MSS)
    assert len(script.out()) == 10
    assert connection.info()["idle_restarts"] == 1


def test_only_a_silence_that_shrinks_the_window_is_counted_and_once() -> None:
    """RFC 5681, section 4.1; the peer's window may be full when there is something to send."""
    script = Script(bare())
    connection = script.connect()

    def send(segments: int, acknowledged: int, win: int = 65535) -> int:
        connection.send(b"x" * segments * MSS)
        script.out()
        script.inject(".", 1, at(acknowledged), win=win)
        return int(connection.info()["idle_restarts"])

    send(10, 10)
    before = connection.cwnd
    script.now += SECOND // 10
    assert send(10, 20) == 0  # shorter than the timeout
    assert connection.cwnd >= before
    assert send(20, 40, win=0) == 0
    assert connection.cwnd == 40 * MSS
    script.now += connection.info()["rto"] * 1000 + MS
    assert [send(1, 40, win=0) for _ in range(3)] == [1, 1, 1]  # halved twice
    assert connection.cwnd == 10 * MSS
    send(0, 40)
    send(0, 43)
    script.now += 10 * SECOND
    assert send(1, 44) == 1  # the window was the initial one


def test_sack_blocks_of_nonsense_are_ignored() -> None:
    script = sending(Script(SACK), 5)
    for block in ((at(50), at(60)), (at(3), at(2)), (at(2), at(2)), (at(4), at(9))):
        script.inject(".", 1, 1, options=script.sack(block))
        assert script.connection.info()["sacked"] == 0


def test_acks_that_cut_a_segment() -> None:
    script = sending(Script(SACK), 3)
    script.inject(".", 1, at(1) + 100)
    assert script.connection.in_flight == 2 * MSS - 100
    assert f". {at(1) + 100}:{at(2)} 1" in script.wait(SECOND)


def test_blocks_that_cut_segments() -> None:
    script = sending(Script(SACK), 6)
    blocks = script.sack((at(1) + 500, at(5) + 700))
    seen = script.inject(".", 1, 1, options=blocks)
    assert seen[0] == repeated(0)
    assert script.connection.info()["sacked"] == 3  # the whole ones


def test_blocks_of_single_octets_cut_no_segment() -> None:
    """A peer that has got a segment has got all of it: its scoreboard does not grow by lies."""
    script = sending(Script(SACK), 10)
    board = script.connection.sender.board
    for octet in range(1, 600, 2):
        script.inject(".", 1, 1, options=script.sack((at(3) + octet, at(3) + octet + 1)))
    assert len(board.records) == 10
    assert script.connection.info()["sacked"] == 0


@pytest.mark.requirement("RFC 9293", "SHLD-11")
def test_data_is_not_given_up_within_100_seconds() -> None:
    """RFC 9293, section 3.8.3, SHLD-11."""
    script = Script()
    connection = script.connect()
    connection.send(b"x")
    script.out()
    script.wait(100 * SECOND)
    assert connection.state is State.ESTABLISHED
