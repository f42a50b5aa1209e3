"""What an endpoint answers to segments made by hand, rule by rule of RFC 8684."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.stack.connection import Closed
from testbed.stack.mptcp import crypto
from testbed.stack.mptcp.path_manager import PathLimits
from testbed.stack.mptcp.state import DataState
from testbed.stack.packet.address import Address
from testbed.stack.packet.mptcp import (
    AddAddr,
    Dss,
    MpCapable,
    MpFastclose,
    MpJoinAck,
    MpJoinSyn,
    MpJoinSynAck,
)
from testbed.stack.packet.options import find
from testbed.stack.packet.segment import ACK, FIN, RST, SYN

LOCAL_2, REMOTE_2 = Address("10.0.2.1", 80), Address("10.0.2.2", 4001)


def all_dss(segments: list[Any]) -> list[Dss]:
    return [option for one in segments if (option := find(one.options, Dss)) is not None]


# Section 3.1: MP_CAPABLE.


def test_version_1_is_answered_to_a_higher_one(script: Any) -> None:
    """Section 3.1: the highest version that is spoken."""
    (answer,) = script().subpeer().syn(MpCapable(version=7))
    assert find(answer.options, MpCapable).version == 1


@pytest.mark.parametrize(
    "option",
    [MpCapable(version=0), MpCapable(flags=0x41), MpCapable(flags=0x81), MpCapable(flags=0x00)],
)
def test_syn_that_cannot_be_used_gets_plain_tcp(script: Any, option: MpCapable) -> None:
    """Section 3.1: version 0, the B flag, a checksum (which we do not make yet), no H flag."""
    (answer,) = script().subpeer().syn(option)
    assert answer.flags == SYN | ACK
    assert find(answer.options, MpCapable) is None


def test_unknown_flags_of_a_syn_mean_nothing(script: Any) -> None:
    """Section 3.1: D to G are not echoed either."""
    (answer,) = script().subpeer().syn(MpCapable(flags=0x1F))
    assert find(answer.options, MpCapable).flags == 0x01


def test_capable_with_data_is_a_mapping(script: Any) -> None:
    """Section 3.1: its 22 octets are no DSS; it maps the first data, and comes until acknowledged.

    The Data ACK of it is in 8 octets.
    """
    world = script()
    peer = world.subpeer()
    (answer,) = peer.syn(MpCapable())
    key = find(answer.options, MpCapable).sender_key
    world.keys.learn(key)
    option = MpCapable(sender_key=0x0102030405060708, receiver_key=key, data_length=5)
    assert len(option.encode()) == 22
    for _ in range(2):  # again: its acknowledgment may have been lost
        *_, last = peer.send(ACK, option, payload=b"hello", seq=1)
        (dss,) = all_dss([last])
        assert dss.data_ack == world.keys.outgoing.number(5)
        assert dss.wide_ack
    assert world.connection.read(100) == b"hello"


def test_fallback_when_the_third_ack_has_no_option(script: Any) -> None:
    """Section 3.7: options vanish in the handshake."""
    world = script()
    peer = world.subpeer()
    peer.syn(MpCapable())
    answers = peer.send(ACK, payload=b"plain")
    assert world.connection.fallback
    assert world.connection.read(100) == b"plain"
    world.connection.send(b"too")
    world.pump()
    answers += peer.take()
    assert all_dss(answers) == []
    assert [one.payload for one in answers if one.payload] == [b"too"]


def test_fallback_when_the_first_data_has_no_option(script: Any) -> None:
    """Section 3.7: options vanish on data, before the first Data ACK."""
    world = script()
    peer = world.open()
    assert not world.connection.fallback
    peer.send(ACK, payload=b"plain")
    assert world.connection.fallback
    assert world.connection.read(100) == b"plain"
    peer.send(FIN | ACK)
    assert world.connection.at_eof
    world.connection.send(b"bye")
    world.connection.shutdown()
    world.pump()
    assert any(one.flags & FIN for one in peer.take())
    peer.send(ACK)
    assert world.connection.closed
    assert world.connection.failure is None


def test_third_ack_overtaken_by_data(script: Any) -> None:
    """Section 3.1: data with DSS before the keys are there is dropped, and comes again."""
    world = script()
    peer = world.subpeer()
    (answer,) = peer.syn(MpCapable())
    key = find(answer.options, MpCapable).sender_key
    world.keys.learn(key)
    peer.send(ACK, world.data(5, 5, 6), payload=b"world", seq=6)
    assert world.connections == []
    peer.send(ACK, MpCapable(sender_key=0x0102030405060708, receiver_key=key))
    first = MpCapable(sender_key=0x0102030405060708, receiver_key=key, data_length=5)
    peer.send(ACK, first, payload=b"hello", seq=1)
    peer.send(ACK, world.data(5, 5, 6), payload=b"world", seq=6)
    assert not world.connection.fallback
    assert world.connection.read(100) == b"helloworld"


# Section 3.2: MP_JOIN.


def test_join_is_found_by_its_token(script: Any) -> None:
    """Section 3.2: whatever address and port it comes to."""
    world = script()
    world.open()
    second = world.subpeer(Address("10.0.2.1", 5555), REMOTE_2)
    (fourth,) = world.join(second)
    assert find(fourth.options, Dss) is not None
    assert world.tracer.count("sub_established") == 1


def test_join_with_an_unknown_token_is_reset(script: Any) -> None:
    """Section 3.2."""
    world = script()
    world.open()
    second = world.subpeer(LOCAL_2, REMOTE_2)
    (answer,) = second.syn(MpJoinSyn(address_id=2, token=12345, nonce=1))
    assert answer.flags & RST


@pytest.mark.parametrize("third", [(MpJoinAck(hmac=bytes(20)),), ()])
def test_third_ack_without_proof_is_reset(script: Any, third: Any) -> None:
    """Section 3.2: a wrong HMAC, or no MP_JOIN."""
    world = script()
    world.open()
    second = world.subpeer(LOCAL_2, REMOTE_2)
    syn = MpJoinSyn(address_id=2, token=world.keys.remote_token, nonce=1)
    (answer,) = second.syn(syn)
    assert isinstance(find(answer.options, MpJoinSynAck), MpJoinSynAck)
    (answer,) = second.send(ACK, *third)
    assert answer.flags & RST
    assert world.tracer.count("sub_established") == 0
    assert not world.connection.closed


def test_fourth_ack_is_sent_again(script: Any) -> None:
    """Section 3.2: a third ACK that comes again asks for it."""
    world = script()
    world.open()
    second = world.subpeer(LOCAL_2, REMOTE_2)
    world.join(second)
    local, remote = world.keys.pair()
    proof = crypto.join_hmac(local, remote, 77, 0)[:20]
    (again,) = second.send(ACK, MpJoinAck(hmac=proof))
    assert again.flags == ACK


def test_limit_of_subflows_refuses_joins(script: Any) -> None:
    """ip-mptcp(8): the limit of subflows."""
    world = script(limits=PathLimits(subflows=1))
    world.open()
    world.join(world.subpeer(LOCAL_2, REMOTE_2))
    third = world.subpeer(LOCAL_2, Address("10.0.3.2", 4002))
    syn = MpJoinSyn(address_id=3, token=world.keys.remote_token, nonce=1)
    (answer,) = third.syn(syn)
    assert answer.flags & RST


# Section 3.3: DSS.


def test_slides_example_on_two_subflows(script: Any) -> None:
    """Section 3.3.1: subflow 1 to 3 is data 101 to 103, subflow 4 to 5 is data 501 to 502."""
    world = script()
    first = world.open()
    second = world.subpeer(LOCAL_2, REMOTE_2)
    world.join(second)
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


def test_mapping_after_part_of_its_data(script: Any) -> None:
    """Section 3.3.1: octets wait for their mapping."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(0, 3, 1), payload=b"abc")
    peer.send(ACK, world.ack(), payload=b"def")
    assert world.connection.read(100) == b"abc"
    peer.send(ACK, world.data(3, 6, 4), payload=b"ghi")
    assert world.connection.read(100) == b"defghi"


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


@pytest.mark.parametrize("wide", [True, False])
def test_both_widths_of_numbers(script: Any, wide: bool) -> None:
    """Section 3.3.1: DSN and Data ACK of 4 and of 8 octets are taken."""
    world = script()
    peer = world.open()
    world.connection.send(b"to the peer")
    world.pump()
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
    world.connection.send(b"data")
    world.pump()
    peer.take()
    peer.send(ACK, world.ack(5000))
    assert world.connection.unsent == 4


def test_data_waits_for_its_data_ack(script: Any) -> None:
    """Section 3.3.2: the subflow's acknowledgment does not free it; it is sent again."""
    world = script()
    peer = world.open()
    world.connection.send(b"data")
    world.pump()
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


def test_data_ack_alone_does_not_free_what_tcp_must_retransmit(script: Any) -> None:
    """Section 3.3.2: a subflow goes on until its own octets are acknowledged, mapping and all."""
    world = script()
    peer = world.open()
    world.connection.send(b"data")
    world.pump()
    (sent,) = peer.take()
    peer.send(ACK, world.ack(4), ack=1)
    assert world.connection.unsent == 0
    world.wait(1)
    again = peer.take()
    assert again
    assert {(one.seq, one.payload) for one in again} == {(sent.seq, b"data")}
    assert all(find(one.options, Dss).dsn == find(sent.options, Dss).dsn for one in again)


# Section 3.3.4: the receive window.


def test_window_counts_with_a_data_ack_only(script: Any) -> None:
    """Section 3.3.4: it is relative to the Data ACK, and means nothing without one."""
    world = script()
    peer = world.open()
    peer.window = 10
    peer.send(ACK, world.ack(0))
    world.connection.send(b"x" * 30)
    world.pump()
    sent = b"".join(one.payload for one in peer.take())
    peer.window = 0xFFFF
    peer.send(ACK, AddAddr(address_id=9, address="10.0.9.9", hmac=bytes(8)))
    assert [one for one in peer.take() if one.payload] == []
    more = peer.send(ACK, world.ack(len(sent)))
    assert len(sent) + sum(len(one.payload) for one in more) == 30


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


def test_window_is_shared_by_all_subflows(script: Any) -> None:
    """Section 3.3.4: data that waits on one subflow takes the others' window."""
    world = script(receive_buffer=20_000)
    first = world.open()
    second = world.subpeer(LOCAL_2, REMOTE_2)
    world.join(second)
    first.send(ACK, world.data(0, 1000, 1), payload=bytes(1000))
    (answer,) = second.send(ACK, world.data(1000, 1000, 1), payload=bytes(1000))
    assert answer.window == 18_000


# Section 3.3.3: closing.


def test_data_fin_on_its_own(script: Any) -> None:
    """Section 3.3.3: subflow sequence 0, length 1, one data sequence number; FIN comes later."""
    world = script()
    peer = world.open()
    world.connection.send(b"data")
    world.pump()
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
    second = world.subpeer(LOCAL_2, REMOTE_2)
    world.join(second)
    first.send(FIN | ACK, world.ack())
    assert not world.connection.at_eof
    second.send(ACK, world.data(0, 3, 1), payload=b"abc")
    assert world.connection.read(100) == b"abc"


# Section 3.5: MP_FASTCLOSE.


def test_fastclose(script: Any) -> None:
    """Section 3.5: a RST with MP_FASTCLOSE ends the connection, whatever its subflows."""
    world = script()
    first = world.open()
    second = world.subpeer(LOCAL_2, REMOTE_2)
    world.join(second)
    first.send(RST | ACK, MpFastclose(receiver_key=world.keys.remote))
    assert world.connection.closed
    assert "MP_FASTCLOSE" in str(world.connection.failure)
    (reset,) = second.take()
    assert reset.flags & RST


def test_abort_sends_fastclose(script: Any) -> None:
    """Section 3.5."""
    world = script()
    peer = world.open()
    world.connection.abort()
    world.pump()
    (reset,) = peer.take()
    assert reset.flags & RST
    assert find(reset.options, MpFastclose) == MpFastclose(receiver_key=0x0102030405060708)
