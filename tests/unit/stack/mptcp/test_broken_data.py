"""Peers that are broken or hostile about data (RFC 8684): what they get, and cannot do to us."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.packet.mptcp import (
    Dss,
    MpCapable,
    MpJoinAck,
    MpJoinSyn,
    MpPrio,
    MptcpOption,
    MpTcprst,
    ResetReason,
)
from testbed.packet.options import find
from testbed.packet.segment import ACK, FIN, RST
from testbed.stack.mptcp.mapping import Mapping
from testbed.stack.mptcp.received_mappings import ReceivedMappings
from testbed.stack.mptcp.state import DataState

from .script import LOCAL_2, REMOTE_2, all_dss

# Data ACKs and DATA_FIN.


def test_data_ack_of_a_data_fin_that_was_not_sent(script: Any) -> None:
    """Section 3.3.2: closing does not make more acknowledgeable than what was sent."""
    world = script()
    peer = world.open()
    peer.window = 1000
    peer.send(ACK, world.ack())
    world.connection.send(bytes(5000))
    world.connection.shutdown()
    world.pump()
    sent = sum(len(one.payload) for one in peer.take())
    peer.send(ACK, world.ack(sent + 1))
    assert world.connection.unsent == 5000
    assert world.connection.state is DataState.FIN_WAIT_1


def test_data_fin_that_comes_again_is_acknowledged_again(script: Any) -> None:
    """Section 3.3.3: the first Data ACK may have been lost; ACKs are not retransmitted."""
    world = script()
    peer = world.open()
    fin = world.data(0, 1, 0, data_fin=True)
    for _ in range(3):
        (answer,) = peer.send(ACK, fin)
        assert all_dss([answer])[0].data_ack == world.keys.outgoing.number(1)


def test_answer_to_a_data_fin_that_comes_again_has_none(script: Any) -> None:
    """Section 3.3.3: two sides whose Data ACKs are lost would answer each other without end."""
    world = script()
    peer = world.open()
    world.connection.shutdown()
    world.pump()
    peer.take()
    fin = world.data(0, 1, 0, data_fin=True)
    peer.send(ACK, fin)
    (answer,) = peer.send(ACK, fin)
    (dss,) = all_dss([answer])
    assert dss.data_ack == world.keys.outgoing.number(1)
    assert not dss.data_fin
    world.wait(1)
    assert all(dss.data_fin for dss in all_dss(peer.take()))


def test_second_data_fin_elsewhere_is_ignored(script: Any) -> None:
    """Section 3.3.3: the first stays, and there is no data after it."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(5, 1, 0, data_fin=True))
    peer.send(ACK, world.data(3, 1, 0, data_fin=True))
    peer.send(ACK, world.data(0, 9, 1), payload=b"abcdefghi")
    assert world.connection.read(100) == b"abcde"
    assert world.connection.at_eof


@pytest.mark.parametrize("mapped", [False, True])
def test_octets_after_the_end_of_both_streams_are_not_kept(script: Any, mapped: bool) -> None:
    """Section 3.3.3: no data follows DATA_FIN, so a subflow that stays open holds none."""
    world = script(receive_buffer=10_000)
    peer = world.open()
    world.connection.shutdown()
    world.pump()
    peer.send(ACK, world.ack(1))
    peer.send(ACK, world.data(0, 1, 0, data_fin=True))
    assert world.connection.state is DataState.CLOSED
    (subflow,) = world.connection.subflows
    for at in range(0, 100_000, 1000):
        dss = world.data(at, 1000, 1 + at) if mapped else world.ack(1)
        peer.send(ACK, dss, payload=bytes(1000))
        assert subflow.tcp.readable == 0


def test_data_fin_elsewhere_after_the_end_is_not_answered(script: Any) -> None:
    """Section 3.3.3: it is no retransmission.  Two sides that answer it would never stop."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(0, 1, 0, data_fin=True))
    assert world.connection.at_eof
    assert peer.send(ACK, world.data(5, 1, 0, data_fin=True)) == []


@pytest.mark.parametrize("payload", [b"", b"x"])
def test_data_fin_without_its_place_is_none(script: Any, payload: bytes) -> None:
    """Section 3.3.3: DATA_FIN counts in the length, so there is none in a length of 0."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(0, 3, 1), payload=b"abc")
    world.connection.read(3)
    peer.send(ACK, world.data(4, 0, 4, data_fin=True), payload=payload)
    assert not world.connection.at_eof
    assert not world.connection.fallback


def test_simultaneous_data_fins_end(script: Any) -> None:
    """Appendix D: both cross; there is no storm of ACKs."""
    world = script()
    peer = world.open()
    world.connection.shutdown()
    world.pump()
    peer.take()
    answers = peer.send(ACK, world.data(0, 1, 0, data_fin=True))
    assert world.connection.state is DataState.CLOSING
    assert len(answers) == 1
    answers = peer.send(ACK, world.data(0, 1, 0, acked=1, data_fin=True))
    assert world.connection.closed
    assert len(answers) <= 2


# Mappings.


def test_mapping_far_outside_the_window(script: Any) -> None:
    """Section 3.3.4: its data is not kept; what fits is still taken."""
    world = script()
    peer = world.open()
    for position in (1 << 30, -(1 << 20), 1 << 40):
        dss = Dss(
            data_ack=world.keys.incoming.number(0),
            dsn=world.keys.outgoing.number(position),
            subflow_seq=peer.seq,
            length=3,
        )
        peer.send(ACK, dss, payload=b"bad")
    peer.send(ACK, world.data(0, 4, peer.seq), payload=b"good")
    assert world.connection.read(100) == b"good"


def test_contradicting_mapping_is_ignored(script: Any) -> None:
    """Section 3.3.1: mappings are immutable."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(0, 6, 1), payload=b"abc")
    peer.send(ACK, world.data(100, 3, 4), payload=b"def")
    assert world.connection.read(100) == b"abcdef"


@pytest.mark.requirement("RFC 8684", "3.3.1-SHOULD-5", "3.7-SHOULD-3")
def test_whole_window_without_a_mapping_breaks_the_subflow(script: Any) -> None:
    """Section 3.3.1: it is closed with RST; what it sent in vain is not kept."""
    world = script(receive_buffer=20_000)
    first = world.open()
    second = world.joined()
    second.send(ACK, world.data(0, 3, 1), payload=b"abc")
    answers = []
    for _ in range(25):
        answers += second.send(ACK, world.ack(), payload=bytes(1000))
    assert answers[-1].flags & RST
    assert len(world.connection.subflows) == 1
    first.send(ACK, world.data(3, 3, 1), payload=b"def")
    assert world.connection.read(100) == b"abcdef"


@pytest.mark.parametrize("number", [0, 1])
def test_first_octets_without_any_option_break_a_subflow_among_others(
    script: Any, number: int
) -> None:
    """Section 3.7: each segment has DSS until one was acknowledged; this path takes them away."""
    world = script()
    peers = [world.open(), world.subpeer(LOCAL_2, REMOTE_2)]
    world.join(peers[1])
    (answer,) = peers[number].send(ACK, payload=b"abc")
    assert answer.flags & RST
    assert len(world.connection.subflows) == 1
    peers[1 - number].send(ACK, world.data(0, 3, 1), payload=b"abc")
    assert world.connection.read(100) == b"abc"


def test_later_octets_without_an_option_wait_for_their_mapping(script: Any) -> None:
    """Section 3.3.1: once DSS has been seen to pass, a mapping may come after its data."""
    world = script()
    world.open()
    second = world.joined()
    second.send(ACK, world.data(0, 3, 1), payload=b"abc")
    (answer,) = second.send(ACK, payload=b"def")
    assert not answer.flags & RST
    second.send(ACK, world.data(3, 6, 4), payload=b"ghi")
    assert world.connection.read(100) == b"abcdefghi"


def test_mappings_without_end_are_not_all_kept() -> None:
    """A peer may map octets that it never sends."""
    mappings = ReceivedMappings()
    for index in range(70_000):
        mappings.add(Mapping(data=index, subflow=2 * index, length=1))
    assert mappings.start_after(2 * 69_990) is None
    assert mappings.start_after(2 * 1000) == 2002


def test_no_fallback_once_there_was_a_second_subflow(script: Any) -> None:
    """Section 3.7: a subflow without options is broken then, the connection is not plain TCP."""
    world = script()
    first = world.open()
    second = world.joined()
    first.send(ACK, payload=b"???")
    assert not world.connection.fallback
    second.send(ACK, world.data(0, 3, 1), payload=b"abc")
    assert world.connection.read(100) == b"abc"


@pytest.mark.parametrize("proof", [None, bytes(20)])
def test_who_knows_the_token_alone_cannot_prevent_a_fallback(
    script: Any, proof: bytes | None
) -> None:
    """A join without a right HMAC is no subflow: the first one is the only one there ever was."""
    world = script()
    first = world.open()
    stranger = world.subpeer(LOCAL_2, REMOTE_2)
    stranger.syn(MpJoinSyn(address_id=2, token=world.keys.remote_token, nonce=1))
    if proof is not None:
        (reset,) = stranger.send(ACK, MpJoinAck(hmac=proof))
        assert reset.flags & RST
    first.send(ACK, payload=b"plain")
    assert world.connection.fallback
    assert world.connection.read(100) == b"plain"


# Fallback.


def test_window_counts_after_a_fallback(script: Any) -> None:
    """Section 3.7: TCP's own flow control is all there is."""
    world = script()
    peer = world.subpeer()
    peer.syn(MpCapable())
    peer.window = 1000
    peer.send(ACK)
    world.write(bytes(3000))
    assert sum(len(one.payload) for one in peer.take()) == 1000
    peer.window = 0
    assert peer.send(ACK) == []
    peer.window = 5000
    assert sum(len(one.payload) for one in peer.send(ACK)) == 2000


def test_fallback_keeps_no_more_than_it_offered(script: Any) -> None:
    """Section 3.7: the window closes while the application does not read, and opens afterwards."""
    world = script(receive_buffer=20_000)
    peer = world.subpeer()
    peer.syn(MpCapable())
    peer.send(ACK)
    for _ in range(100):
        answers = peer.send(ACK, payload=bytes(1000))
        if answers and not answers[-1].window:
            break
    total = peer.seq - 1
    assert total <= 40_000  # the stream's buffer and TCP's
    assert len(world.connection.read(1 << 20)) == 20_000
    world.pump()
    assert peer.take()[-1].window >= 10_000
    assert len(world.connection.read(1 << 20)) == total - 20_000


@pytest.mark.requirement("RFC 8684", "3.7-MUST-3")
def test_fallback_when_data_is_acknowledged_without_data_ack(script: Any) -> None:
    """Section 3.7: the peer has fallen back; what is sent again would be new data for it."""
    world = script()
    peer = world.open()
    world.write(b"data")
    peer.take()
    peer.send(ACK)
    assert world.connection.fallback
    assert world.connection.unsent == 0
    world.wait(10)
    assert peer.take() == []


@pytest.mark.requirement("RFC 8684", "3.7-MUST-3")
def test_fallback_when_data_is_acknowledged_by_dss_without_data_ack(script: Any) -> None:
    """Section 3.7: a mapping alone does not show that our mappings arrive."""
    world = script()
    peer = world.open()
    world.write(b"data")
    peer.take()
    mapping = Dss(dsn=world.keys.outgoing.number(0), subflow_seq=1, length=3)
    peer.send(ACK, mapping, payload=b"abc")
    assert world.connection.fallback
    assert world.connection.unsent == 0
    peer.send(ACK, payload=b"def")
    assert world.connection.read(10) == b"abcdef"


def test_signal_that_leaves_no_room_for_a_data_ack_is_no_fallback(script: Any) -> None:
    """Section 3.7: Linux sends ADD_ADDR without DSS."""
    world = script()
    peer = world.open()
    world.write(b"data")
    peer.take()
    peer.send(ACK, world.announcement(5, REMOTE_2.host))
    assert not world.connection.fallback
    peer.send(ACK, world.ack(4))
    assert world.connection.unsent == 0


@pytest.mark.requirement("RFC 8684", "3.7-MUST-3")
def test_infinite_mapping_follows_a_fallback_for_want_of_a_data_ack(script: Any) -> None:
    """Section 3.7: the path may drop options in one direction only, and our next octets tell."""
    world = script()
    peer = world.open()
    world.write(b"data")
    peer.take()
    peer.send(ACK)
    world.write(bytes(3000))
    first, *others = peer.take()
    (dss,) = all_dss([first])
    assert (dss.dsn, dss.subflow_seq, dss.length) == (world.keys.incoming.number(0), 1, 0)
    assert dss.data_ack is None
    assert others
    assert not any(isinstance(each, MptcpOption) for one in others for each in one.options)
    peer.send(ACK)
    world.write(b"more")
    assert all_dss(peer.take()) == []


@pytest.mark.requirement("RFC 8684", "3.7-SHOULD-6")
def test_peer_without_our_options_falls_back_with_the_infinite_mapping(script: Any) -> None:
    """Section 3.7: the other end of such a path, whose Data ACKs were lost; nothing is lost."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(0, 4, 1), payload=b"data")
    infinite = Dss(dsn=world.keys.outgoing.number(0), subflow_seq=1, length=0)
    answers = peer.send(ACK, infinite, payload=b"more")
    assert world.connection.fallback
    assert all_dss(answers) == []
    peer.send(ACK, payload=b"plain")
    assert world.connection.read(100) == b"datamoreplain"


@pytest.mark.parametrize("options", [False, True])
def test_peer_that_has_fallen_back_ends_its_data_by_fin(script: Any, *, options: bool) -> None:
    """Section 3.7: its options vanish, or say so; what it has not got yet it gets."""
    world = script()
    peer = world.open()
    peer.window = 5000
    world.connection.send(bytes(20_000))
    world.pump()
    sent = sum(len(one.payload) for one in peer.take())
    infinite = Dss(dsn=world.keys.outgoing.number(0), subflow_seq=1, length=0)
    said = (infinite,) if options else ()
    answers = peer.send(ACK | FIN, *said, ack=1)  # the peer has not received our data yet
    answers += peer.send(ACK, *said)
    sent += sum(len(one.payload) for one in answers)
    while world.connection.unsent:
        answers = peer.send(ACK)
        assert not any(one.flags & (FIN | RST) for one in answers)
        sent += sum(len(one.payload) for one in answers)
    assert world.connection.fallback
    assert world.connection.at_eof
    assert sent == 20_000


def test_fallback_that_the_peer_announces_with_fin(script: Any) -> None:
    """Section 3.7: an infinite mapping says so even if a Data ACK came before it."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(0, 3, 1), payload=b"abc")
    world.write(b"data")
    peer.take()
    infinite = Dss(dsn=world.keys.outgoing.number(0), subflow_seq=1, length=0)
    peer.send(ACK | FIN, infinite)
    peer.send(ACK)
    assert world.connection.fallback
    assert world.connection.unsent == 0
    assert world.connection.read(10) == b"abc"
    assert world.connection.at_eof


def test_fallback_that_a_fin_before_its_data_announces(script: Any) -> None:
    """Section 3.7: it becomes valid when all octets before it have arrived."""
    world = script()
    peer = world.open()
    second = world.joined()
    infinite = Dss(dsn=world.keys.outgoing.number(0), subflow_seq=1, length=0)
    peer.send(ACK | FIN, infinite, seq=4)
    assert not world.connection.fallback
    peer.send(ACK, world.data(0, 3, 1), payload=b"abc")
    assert world.connection.fallback
    assert world.connection.read(10) == b"abc"
    assert world.connection.at_eof
    (reset,) = second.take()
    assert reset.flags & RST


@pytest.mark.parametrize("options", [False, True])
def test_data_is_not_sent_again_to_a_peer_in_plain_tcp(script: Any, *, options: bool) -> None:
    """Section 3.7: it would take the data twice. A copy of an old segment tells nothing new."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(0, 3, 1), payload=b"abc")
    world.write(b"data")
    peer.take()
    peer.send(ACK)
    peer.send(ACK, *([world.ack()] if options else []), seq=1)
    world.wait(5)
    segments = peer.take()
    assert not any(one.payload for one in segments)
    assert segments[-1].flags & RST


def test_fallback_in_the_middle_of_the_first_data(script: Any) -> None:
    """Section 3.7: the peer has fallen back after its first data, as the only subflow may."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(0, 3, 1), payload=b"abc")
    peer.send(ACK, payload=b"def")
    assert world.connection.fallback
    assert world.connection.read(10) == b"abcdef"
    peer.send(FIN | ACK)
    assert world.connection.at_eof


@pytest.mark.parametrize("data", [b"", b"more"])
def test_fallback_for_want_of_a_mapping_is_announced(script: Any, data: bytes) -> None:
    """Section 3.7: our options may pass; the mapping begins where the Data ACKs end."""
    world = script()
    peer = world.open()
    world.write(b"data")
    peer.take()
    peer.send(ACK, world.ack(4))
    peer.send(ACK, payload=b"plain")
    world.connection.send(data)
    world.connection.shutdown()
    world.pump()
    first, *others = peer.take()
    (dss,) = all_dss([first])
    assert (dss.dsn, dss.subflow_seq, dss.length) == (world.keys.incoming.number(4), 5, 0)
    assert first.payload == data
    assert all_dss(others) == []


@pytest.mark.requirement("RFC 8684", "3.7-MUST-NOT-2")
def test_fallback_takes_no_joins(script: Any) -> None:
    """Section 3.7: plain TCP has one path, and signals mean nothing."""
    world = script()
    first = world.open()
    first.send(ACK, payload=b"plain")
    assert world.connection.fallback
    second = world.subpeer(LOCAL_2, REMOTE_2)
    syn = MpJoinSyn(address_id=2, token=world.keys.remote_token, nonce=1)
    (answer,) = second.syn(syn)
    assert answer.flags & RST
    first.send(ACK, world.announcement(5, REMOTE_2.host))
    assert world.out == []
    assert world.connection.info()["fallback"]


@pytest.mark.requirement("RFC 8684", "3.7-MUST-2", "3.7-SHOULD-2")
def test_further_subflow_without_data_acks_is_reset(script: Any) -> None:
    """Section 3.7: its path takes the options away; what it carried goes on the other."""
    world = script()
    first = world.open()
    second = world.joined()
    first.send(ACK, world.ack(), MpPrio(backup=True))
    world.write(b"data")
    first.take()
    assert [one.payload for one in second.take() if one.payload] == [b"data"]
    (reset,) = second.send(ACK)
    assert reset.flags & RST
    assert find(reset.options, MpTcprst) == MpTcprst(reason=ResetReason.MIDDLEBOX)
    assert [one.payload for one in first.take() if one.payload] == [b"data"]
    assert not world.connection.fallback
