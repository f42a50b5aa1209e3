"""Answers to DSS, DATA_FIN and MP_FASTCLOSE made by hand, rule by rule of RFC 8684."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest

from testbed.packet.mptcp import AddAddr, Dss, MpCapable, MpFastclose
from testbed.packet.options import find
from testbed.packet.segment import ACK, FIN, RST, URG, Segment
from testbed.stack.connection import Closed, Connected, Readable
from testbed.stack.mptcp.state import DataState
from testbed.stack.mptcp.subflow import DSS_ROOM

from .script import LOCAL_2, PEER_KEY, REMOTE_2, all_dss


def payloads(segments: Iterable[Segment]) -> list[int]:
    """Return the sizes of payloads."""
    return [len(one.payload) for one in segments if one.payload]


# Section 3.3: DSS.


def test_slides_example_on_two_subflows(script: Any) -> None:
    """Section 3.3.1: subflow 1 to 3 is data 101 to 103, subflow 4 to 5 is data 501 to 502."""
    world = script()
    first = world.open()
    second = world.joined()
    # Data 1 to 100 and 104 to 500 come on the second subflow, the rest on the first.
    first.send(ACK, world.data(100, 3, 1), payload=b"abc")
    first.send(ACK, world.data(500, 2, 4), payload=b"de")
    assert world.connection.read(1000) == b""
    second.send(ACK, world.data(0, 100, 1), payload=b"x" * 100)
    second.send(ACK, world.data(103, 397, 101), payload=b"y" * 397)
    assert world.connection.read(1000) == b"x" * 100 + b"abc" + b"y" * 397 + b"de"


def test_mapping_spans_segments(script: Any) -> None:
    """Section 3.3.1: what a mapping covers may come in segments without one."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(0, 9, 1), payload=b"one")
    peer.send(ACK, world.ack(), payload=b"two")
    peer.send(ACK, payload=b"six")
    assert world.connection.read(100) == b"onetwosix"


@pytest.mark.requirement("RFC 8684", "3.3.1-MAY-1")
def test_mapping_after_part_of_its_data(script: Any) -> None:
    """Section 3.3.1: octets wait for their mapping."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(0, 3, 1), payload=b"abc")
    peer.send(ACK, world.ack(), payload=b"def")
    assert world.connection.read(100) == b"abc"
    peer.send(ACK, world.data(3, 6, 4), payload=b"ghi")
    assert world.connection.read(100) == b"defghi"


@pytest.mark.requirement("RFC 8684", "3.3.1-MAY-1")
def test_mapping_on_an_ack_after_its_data(script: Any) -> None:
    """Section 3.3.1: the octets have become data, which a Data ACK acknowledges."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(0, 3, 1), payload=b"abc")
    peer.send(ACK, world.ack(), payload=b"def")
    (answer,) = peer.send(ACK, world.data(3, 3, 4))
    assert all_dss([answer])[0].data_ack == world.keys.outgoing.number(6)
    assert world.connection.read(100) == b"abcdef"
    assert peer.send(ACK, world.data(3, 3, 4)) == []


def test_octets_without_a_mapping_are_no_data(script: Any) -> None:
    """Section 3.3.1: they are never acknowledged, so the peer has to send them again."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(0, 3, 1), payload=b"abc")
    peer.send(ACK, world.ack(), payload=b"???")
    *_, last = peer.send(ACK, world.data(6, 3, 7), payload=b"ghi")
    (dss,) = all_dss([last])
    assert dss.data_ack == world.keys.outgoing.number(3)
    peer.send(ACK, world.data(3, 3, 10), payload=b"def")
    assert world.connection.read(100) == b"abcdefghi"


@pytest.mark.requirement("RFC 8684", "3.3.1-SHOULD-4")
def test_octets_without_a_mapping_are_acknowledged_on_their_subflow(script: Any) -> None:
    """Section 3.3.1: the two levels do not wait for one another."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(0, 3, 1), payload=b"abc")
    *_, last = peer.send(ACK, world.ack(), payload=b"???")
    assert last.ack == (peer.isn + 7) & 0xFFFFFFFF
    (dss,) = all_dss([last])
    assert dss.data_ack == world.keys.outgoing.number(3)


@pytest.mark.requirement("RFC 8684", "3.3.1-SHOULD-2")
def test_data_that_comes_twice_counts_once(script: Any) -> None:
    """Section 3.3.1: the first data for a position are delivered, later ones are ignored."""
    world = script()
    first = world.open()
    second = world.joined()
    second.send(ACK, world.data(3, 3, 1), payload=b"def")
    first.send(ACK, world.data(0, 6, 1), payload=b"abcXYZ")
    second.send(ACK, world.data(0, 3, 4), payload=b"XYZ")
    assert world.connection.read(100) == b"abcdef"


@pytest.mark.requirement("RFC 8684", "3.3.1-SHOULD-3")
def test_urgent_data_is_data_like_any_other(script: Any) -> None:
    """Section 3.3.1: it is mapped, and has its place in the stream."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(0, 3, 1), payload=b"abc")
    urgent = Segment(
        source=peer.flow.remote,
        destination=peer.flow.local,
        seq=(peer.isn + peer.seq) & 0xFFFFFFFF,
        ack=(peer.endpoint_isn + peer.ack) & 0xFFFFFFFF,
        flags=ACK | URG,
        window=0xFFFF,
        urgent=2,
        options=(world.data(3, 3, 4),),
        payload=b"def",
    )
    world.inject(urgent)
    assert world.connection.read(100) == b"abcdef"


@pytest.mark.requirement("RFC 8684", "3.3.1-MUST-NOT-2")
def test_no_segment_of_ours_is_urgent(script: Any) -> None:
    """Section 3.3.1: it would break a mapping, so MPTCP has no way to ask for it."""
    world = script()
    peer = world.open()
    world.write(bytes(10_000))
    assert not any(one.flags & URG for one in peer.take())
    assert not hasattr(world.connection, "send_urgent")


@pytest.mark.requirement("RFC 8684", "3.3.1-MUST-6", "3.3.2-MAY-1", "3.7-MUST-1")
def test_each_segment_has_the_mapping_of_its_octets(script: Any) -> None:
    """Sections 3.3.1 and 3.7: until a Data ACK shows that DSS passes, and after it."""
    world = script()
    peer = world.open()
    for number in range(2):
        world.write(bytes(5000))
        sent = [one for one in peer.take() if one.payload]
        assert len(sent) > 3
        for one in sent:
            (dss,) = all_dss([one])
            start, end = peer.relative(one), peer.relative(one) + len(one.payload)
            assert dss.subflow_seq < end
            assert start < dss.subflow_seq + dss.length
            position = world.keys.incoming.position(dss.dsn, wide=True, near=0)
            assert position - dss.subflow_seq == -1
            assert dss.data_ack == world.keys.outgoing.number(0)
        peer.send(ACK, world.ack(5000 * (number + 1)))


@pytest.mark.requirement("RFC 8684", "3.3.2-MUST-3")
def test_data_acks_may_come_only_when_they_are_news(script: Any) -> None:
    """Section 3.3.2: a peer may leave them out of segments that acknowledge nothing new."""
    world = script()
    peer = world.open()
    world.write(b"data")
    peer.take()
    peer.send(ACK, world.ack(4))
    for number in range(3):
        mapping = Dss(dsn=world.keys.outgoing.number(number), subflow_seq=1 + number, length=1)
        peer.send(ACK, mapping, payload=b"x")
        peer.send(ACK)
    assert world.connection.read(100) == b"xxx"
    assert not world.connection.fallback
    world.write(b"more")
    assert [one.payload for one in peer.take() if one.payload] == [b"more"]
    peer.send(ACK, world.ack(8), ack=7)  # the data level may be ahead of the subflow
    peer.send(ACK)
    assert not world.connection.fallback
    world.wait(30)
    assert world.connection.unsent == 0
    assert not any(one.flags & RST for one in peer.take())


@pytest.mark.requirement("RFC 8684", "3.3.1-MUST-2", "3.3.2-MUST-2")
@pytest.mark.parametrize("wide", [True, False])
def test_both_widths_of_numbers(script: Any, wide: bool) -> None:
    """Section 3.3.1: DSN and Data ACK of 4 and of 8 octets are taken."""
    world = script()
    peer = world.open()
    world.write(b"to the peer")
    peer.take()
    dss = Dss(
        data_ack=world.keys.incoming.number(11, wide=wide),
        wide_ack=wide,
        dsn=world.keys.outgoing.number(0, wide=wide),
        wide_dsn=wide,
        subflow_seq=1,
        length=3,
    )
    peer.send(ACK, dss, payload=b"abc")
    assert world.connection.read(100) == b"abc"
    assert world.connection.unsent == 0


def test_data_ack_for_what_was_never_sent_is_ignored(script: Any) -> None:
    """Section 3.3.2."""
    world = script()
    peer = world.open()
    world.write(b"data")
    peer.take()
    peer.send(ACK, world.ack(5000))
    assert world.connection.unsent == 4


@pytest.mark.requirement("RFC 8684", "3.3.2-MUST-NOT-2", "3.3.6-MUST-2", "4-SHOULD-NOT-1")
def test_data_waits_for_its_data_ack(script: Any) -> None:
    """Section 3.3.2: the subflow's acknowledgment does not free it; it is sent again."""
    world = script()
    peer = world.open()
    world.write(b"data")
    (sent,) = [one for one in peer.take() if one.payload]
    peer.send(ACK, world.ack(0))  # acknowledged by TCP, not at the data level
    assert world.connection.unsent == 4
    world.wait(5)
    again = [one for one in peer.take() if one.payload]
    assert again
    assert all(find(one.options, Dss).dsn == find(sent.options, Dss).dsn for one in again)
    assert peer.relative(again[0]) == 5  # new octets of the subflow: another mapping
    peer.send(ACK, world.ack(4))
    assert world.connection.unsent == 0


@pytest.mark.requirement(
    "RFC 8684", "3.3.1-MUST-NOT-1", "3.3.2-MUST-NOT-2", "3.3.6-MUST-1", "3.3.6-MUST-2"
)
def test_data_ack_alone_does_not_free_what_tcp_must_retransmit(script: Any) -> None:
    """Section 3.3.2: a subflow goes on until its own octets are acknowledged, mapping and all."""
    world = script()
    peer = world.open()
    world.write(b"data")
    (sent,) = peer.take()
    peer.send(ACK, world.ack(4), ack=1)
    assert world.connection.unsent == 0
    world.wait(1)
    again = peer.take()
    assert again
    assert {(one.seq, one.payload) for one in again} == {(sent.seq, b"data")}
    assert all(find(one.options, Dss).dsn == find(sent.options, Dss).dsn for one in again)


# Section 3.3.4: the receive window.


@pytest.mark.requirement("RFC 8684", "3.3.2-MUST-NOT-1")
def test_window_counts_with_a_data_ack_only(script: Any) -> None:
    """Section 3.3.4: it is relative to the Data ACK, and means nothing without one."""
    world = script()
    peer = world.open()
    peer.window = 10
    peer.send(ACK, world.ack(0))
    world.write(b"x" * 30)
    sent = b"".join(one.payload for one in peer.take())
    peer.window = 0xFFFF
    peer.send(ACK, AddAddr(address_id=9, address="10.0.9.9", hmac=bytes(8)))
    assert [one for one in peer.take() if one.payload] == []
    more = peer.send(ACK, world.ack(len(sent)))
    assert len(sent) + sum(len(one.payload) for one in more) == 30


@pytest.mark.requirement("RFC 8684", "3.3.5-SHOULD-1", "3.3.5-MUST-1", "4-SHOULD-1")
def test_largest_window_counts_and_each_subflow_keeps_its_own(script: Any) -> None:
    """Section 3.3.5: a middlebox may have made one smaller, and must not get more than that."""
    world = script(scheduler="roundrobin")
    first = world.open(window=3000)
    second = world.subpeer(LOCAL_2, REMOTE_2)
    second.window = 9000
    world.join(second)
    for peer in (second, first):
        peer.send(ACK, world.ack(0))
    world.write(bytes(20_000))
    got = {peer: sum(payloads(peer.take())) for peer in (first, second)}
    assert 0 < got[first] <= 3000
    assert 9000 - 1460 < sum(got.values()) <= 9000


@pytest.mark.requirement("RFC 8684", "3.3.4-MUST-NOT-1")
def test_windows_right_edge_does_not_move_back(script: Any) -> None:
    """Section 3.3.4: a Data ACK that has been overtaken does not shrink the window."""
    world = script(receive_buffer=20_000)
    peer = world.open()
    edges = []
    for position in range(0, 20_000, 1000):
        payload = bytes(1000)
        for one in peer.send(ACK, world.data(position, 1000, position + 1), payload=payload):
            (dss,) = all_dss([one])
            edges.append(world.keys.outgoing.position(dss.data_ack, wide=True, near=0) + one.window)
    assert edges == [20_000] * len(edges)
    assert edges
    world.connection.read(20_000)
    world.pump()
    (update,) = peer.take()
    assert update.window == 20_000


@pytest.mark.parametrize("octets", [1, 3, 4])
def test_a_tiny_window_that_stays_as_it_is_is_told_once(script: Any, octets: int) -> None:
    """Two ends that advertised it again on each ACK would answer each other for ever."""
    world = script(receive_buffer=octets)
    peer = world.open()
    assert [peer.send(ACK, world.ack(0)) for _ in range(3)] == [[], [], []]


def test_window_is_shared_by_all_subflows(script: Any) -> None:
    """Section 3.3.4: data that waits on one subflow takes the others' window."""
    world = script(receive_buffer=20_000)
    first = world.open()
    second = world.joined()
    first.send(ACK, world.data(0, 1000, 1), payload=bytes(1000))
    (answer,) = second.send(ACK, world.data(1000, 1000, 1), payload=bytes(1000))
    assert answer.window == 18_000


def test_less_than_a_segment_waits_for_the_shared_window_to_open(script: Any) -> None:
    """RFC 9293, section 3.8.6.2.1: no silly windows, and not for ever."""
    world, size = script(), 1460 - DSS_ROOM
    peer = world.open(window=2 * size + 500)
    world.write(bytes(5 * size))
    assert payloads(peer.take()) == [size, size]
    peer.window = 2 * size
    assert payloads(peer.send(ACK, world.ack(500))) == []
    peer.window = 500
    assert payloads(peer.send(ACK, world.ack(2 * size))) == []
    world.wait(3)
    assert set(payloads(peer.take())) == {500}


def test_less_than_a_segment_is_sent_if_it_is_all_or_half_the_largest_window(script: Any) -> None:
    """RFC 9293, section 3.8.6.2.1: then nothing is to be gained by waiting."""
    world = script()
    peer = world.open(window=1000)
    world.write(bytes(100))
    assert payloads(peer.take()) == [100]
    world.write(bytes(2000))
    assert payloads(peer.take()) == [900]


def test_small_pieces_in_flight_are_few_enough_for_the_peers_memory(script: Any) -> None:
    """Each takes a kilobyte of the window; data written in the meantime leaves in one piece."""
    world = script()
    peer = world.open(window=8192)
    for _ in range(20):
        world.write(bytes(50))
    assert payloads(peer.take()) == [50] * 7
    assert payloads(peer.send(ACK, world.ack(100))) == [650]
    world.write(bytes(50))
    assert payloads(peer.send(ACK, world.ack(150))) == [50]


def test_one_small_piece_leaves_whatever_is_in_flight(script: Any) -> None:
    """Only what comes after it has to wait, for Data ACKs."""
    world, size = script(), 1460 - DSS_ROOM
    peer = world.open(window=2 * size + 100)
    world.write(bytes(2 * size))
    world.write(bytes(50))
    world.write(bytes(10))
    assert payloads(peer.take()) == [size, size, 50]
    assert payloads(peer.send(ACK, world.ack(2 * size))) == [10]


# Section 3.3.3: closing.


@pytest.mark.requirement("RFC 8684", "3.3.3-MUST-1", "3.3.3-MUST-NOT-1", "3.3.3-MUST-2")
def test_data_fin_on_its_own(script: Any) -> None:
    """Section 3.3.3: subflow sequence 0, length 1, one data sequence number; FIN comes later."""
    world = script()
    peer = world.open()
    world.write(b"data")
    peer.take()
    peer.send(ACK, world.ack(4))
    world.connection.shutdown()
    world.pump()
    (closing,) = peer.take()
    dss = find(closing.options, Dss)
    assert dss.data_fin
    assert (dss.dsn, dss.subflow_seq, dss.length) == (world.keys.incoming.number(4), 0, 1)
    assert not closing.flags & FIN
    world.wait(3)
    again = peer.take()
    assert again
    assert all(find(one.options, Dss).data_fin for one in again)
    assert not any(one.flags & FIN for one in peer.send(ACK, world.ack(5)))
    assert world.connection.state is DataState.FIN_WAIT_2
    fin = world.data(0, 1, 0, acked=5, data_fin=True)
    answers = peer.send(ACK, fin)
    assert all_dss(answers)[0].data_ack == world.keys.outgoing.number(1)
    assert any(one.flags & FIN for one in answers)
    assert world.connection.closed
    assert Closed(None) in world.events


def test_data_fin_is_sent_again_twice_before_intervals_double(script: Any) -> None:
    """Section 3.3.3 names no interval; an ACK without data is lost without a trace."""
    world = script()
    peer = world.open()
    world.connection.shutdown()
    world.pump()
    peer.take()
    times = []  # milliseconds
    while len(times) < 4:
        world.wait(0.001)
        times += [world.now // 1_000_000 for _ in peer.take()]
    first, second, third = (b - a for a, b in itertools.pairwise(times))
    assert (times[0] - 1000, first, second, third) == (201, 200, 400, 800)


def test_data_fin_with_the_last_data(script: Any) -> None:
    """Section 3.3.3: the mapping's length counts DATA_FIN."""
    world = script()
    peer = world.open()
    *_, last = peer.send(ACK, world.data(0, 4, 1, data_fin=True), payload=b"abc")
    assert all_dss([last])[0].data_ack == world.keys.outgoing.number(4)
    assert world.connection.read(100) == b"abc"
    assert world.connection.at_eof
    assert world.connection.state is DataState.CLOSE_WAIT


def test_data_fin_before_the_data(script: Any) -> None:
    """Section 3.3.3: it is acknowledged when all data before it is there."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(3, 1, 0, data_fin=True))
    assert not world.connection.at_eof
    *_, last = peer.send(ACK, world.data(0, 3, 1), payload=b"abc")
    assert all_dss([last])[0].data_ack == world.keys.outgoing.number(4)
    assert world.connection.read(100) == b"abc"
    assert world.connection.at_eof


def test_subflow_fin_is_not_the_end_of_data(script: Any) -> None:
    """Section 3.3.3: FIN concerns the subflow alone."""
    world = script()
    first = world.open()
    second = world.joined()
    first.send(FIN | ACK, world.ack())
    assert not world.connection.at_eof
    second.send(ACK, world.data(0, 3, 1), payload=b"abc")
    assert world.connection.read(100) == b"abc"


# Section 3.5: MP_FASTCLOSE.


def test_fastclose(script: Any) -> None:
    """Section 3.5: a RST with MP_FASTCLOSE ends the connection with all its subflows."""
    world = script()
    first = world.open()
    second = world.joined()
    first.send(RST | ACK, MpFastclose(receiver_key=world.keys.remote))
    assert world.connection.closed
    assert "MP_FASTCLOSE" in str(world.connection.failure)
    (reset,) = second.take()
    assert reset.flags & RST


@pytest.mark.parametrize("ending", ["fastclose", "reset", "fin"])
def test_connection_that_ends_in_the_batch_that_opens_it_is_told_of(
    script: Any, ending: str
) -> None:
    """A server hears first that it is there, and then how it has ended."""
    world = script()
    peer = world.subpeer()
    (answer,) = peer.syn(MpCapable())
    key = find(answer.options, MpCapable).sender_key
    world.keys.learn(key)
    pump, world.pump = world.pump, lambda: None
    peer.send(ACK, MpCapable(sender_key=PEER_KEY, receiver_key=key))
    if ending == "fastclose":
        peer.send(RST | ACK, MpFastclose(receiver_key=key))
    elif ending == "reset":
        peer.send(RST | ACK)
    else:
        peer.send(ACK, world.data(0, 1, 0, data_fin=True))
    world.pump = pump
    world.pump()
    expected = {
        "fastclose": [Connected, Readable, Closed],
        "reset": [Connected],  # other subflows may come yet
        "fin": [Connected, Readable],
    }
    assert [type(event) for event in world.events] == expected[ending]
    if ending == "fastclose":
        assert "MP_FASTCLOSE" in str(world.connection.failure)


def test_abort_sends_fastclose(script: Any) -> None:
    """Section 3.5."""
    world = script()
    peer = world.open()
    world.connection.abort()
    world.pump()
    (reset,) = peer.take()
    assert reset.flags & RST
    assert find(reset.options, MpFastclose) == MpFastclose(receiver_key=0x0102030405060708)
