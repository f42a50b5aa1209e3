"""The initiator of a connection, with segments made by hand (RFC 8684)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from testbed.packet.address import Address, Flow
from testbed.packet.mptcp import (
    AddAddr,
    Dss,
    MpCapable,
    MpJoinAck,
    MpJoinSyn,
    MptcpOption,
    MpTcprst,
    RemoveAddr,
    ResetReason,
)
from testbed.packet.options import Timestamps, find
from testbed.packet.segment import ACK, FIN, RST, SYN
from testbed.stack.mptcp import crypto
from testbed.stack.mptcp.path_manager.base import PathEndpoint, PathLimits

from .script import LOCAL, LOCAL_2, PEER_KEY, all_dss

SECOND = (PathEndpoint(host=LOCAL_2.host, id=2, subflow=True),)


@pytest.mark.requirement("RFC 8684", "3.3.1-MUST-3", "3.7-MUST-1")
def test_first_data_goes_with_both_keys(script: Any) -> None:
    """Section 3.1: MP_CAPABLE of 22 octets, until acknowledged; what follows has DSS."""
    world = script()
    peer, _ = world.accept()
    world.write(b"hello")
    (first,) = peer.take()
    option = find(first.options, MpCapable)
    assert len(option.encode()) == 22
    assert (option.sender_key, option.receiver_key) == (world.keys.remote, PEER_KEY)
    assert option.data_length == 5
    world.write(b"world")
    (second,) = peer.take()
    assert find(second.options, MpCapable) is None
    dss = find(second.options, Dss)
    assert (dss.dsn, dss.subflow_seq) == (world.keys.incoming.number(5), 6)
    world.wait(1.5)
    again = [one for one in peer.take() if one.payload == b"hello"]
    assert find(again[0].options, MpCapable) == option
    peer.send(ACK, world.ack(10))
    assert world.connection.unsent == 0


@pytest.mark.requirement("RFC 8684", "3.1-MUST-5")
def test_third_ack_comes_again_with_both_keys(script: Any) -> None:
    """Section 3.1: when the SYN/ACK comes again, the third ACK was lost."""
    world = script()
    peer, (third,) = world.accept()
    seq, peer.seq = peer.seq, 0
    (again,) = peer.send(SYN | ACK, MpCapable(sender_key=PEER_KEY))
    peer.seq = seq
    assert find(again.options, MpCapable) == find(third.options, MpCapable)


@pytest.mark.requirement("RFC 8684", "3.1-MUST-6", "3.1-MUST-20", "3.7-SHOULD-1", "6-SHOULD-1")
@pytest.mark.parametrize(
    "options", [(), (MpCapable(flags=0x41, sender_key=PEER_KEY),), (MpCapable(),)]
)
def test_fallback_on_the_syn_ack(script: Any, options: Any) -> None:
    """Section 3.7: the option vanished in the handshake, or asks for what we do not have."""
    world = script()
    peer = world.dial()
    (third,) = peer.syn_ack(*options)
    assert find(third.options, MpCapable) is None
    assert world.connection.fallback
    world.write(b"plain")
    (sent,) = peer.take()
    assert (sent.payload, find(sent.options, Dss)) == (b"plain", None)
    assert find(sent.options, MpCapable) is None


@pytest.mark.requirement("RFC 8684", "3.7-MUST-3")
def test_fallback_before_the_first_data_ack(script: Any) -> None:
    """Section 3.7: the peer's first segment after the handshake has no option."""
    world = script()
    peer, _ = world.accept()
    world.write(b"hello")
    peer.take()
    peer.send(ACK)
    assert world.connection.fallback
    assert world.connection.unsent == 0


@pytest.mark.requirement("RFC 8684", "3.7-MUST-3")
def test_infinite_mapping_follows_a_fallback_before_the_first_data_ack(script: Any) -> None:
    """Section 3.7: in case the peer still believes in MPTCP, as our options do pass."""
    world = script()
    peer, _ = world.accept()
    world.write(b"hello")
    peer.take()
    peer.send(ACK)
    world.write(b"world")
    (sent,) = peer.take()
    (dss,) = (each for each in sent.options if isinstance(each, MptcpOption))
    assert isinstance(dss, Dss)
    assert (dss.dsn, dss.subflow_seq, dss.length) == (world.keys.incoming.number(0), 1, 0)
    peer.send(ACK)
    world.connection.shutdown()
    world.pump()
    (fin,) = peer.take()
    assert not any(isinstance(each, MptcpOption) for each in fin.options)


@pytest.mark.requirement("RFC 8684", "3.7-MUST-3")
def test_infinite_mapping_goes_with_fin_if_there_is_no_data(script: Any) -> None:
    """Section 3.7: the peer has our keys, and would take a plain FIN for that of one subflow."""
    world = script()
    peer, _ = world.accept()
    peer.send(ACK)
    assert world.connection.fallback
    world.connection.shutdown()
    world.pump()
    (fin,) = peer.take()
    assert fin.flags & FIN
    assert [(one.data_ack, one.length) for one in all_dss([fin])] == [(None, 0)]


@pytest.mark.requirement("RFC 8684", "3.1-MUST-NOT-2")
def test_peer_that_takes_no_joins(script: Any) -> None:
    """Section 3.1: the C flag of the SYN/ACK forbids joins to the initial address."""
    world = script(endpoints=SECOND)
    peer, _ = world.accept(flags=0x21)
    peer.send(ACK, world.ack())
    assert world.out == []


def test_an_address_announced_before_anything_else(script: Any) -> None:
    """Section 3.1: ADD_ADDR may overtake the first DSS, and the C flag counts for it as well.

    Linux 6.18 then joins the address from the subflow endpoints though it accepts none otherwise.
    """
    world = script(endpoints=SECOND, limits=PathLimits(subflows=2, add_addr_accepted=0))
    peer, _ = world.accept(flags=0x21)
    peer.send(ACK, world.announcement(5, "10.0.2.2"))
    peer.send(ACK, world.ack())
    (syn,) = [one for one in world.out if find(one.options, MpJoinSyn)]
    assert syn.source.host == SECOND[0].host
    assert syn.destination.host == "10.0.2.2"


def test_data_fin_before_the_first_data_ack(script: Any) -> None:
    """Section 3.3.3: a connection without any data can be closed, too.

    The peer has nothing to acknowledge, so no Data ACK confirms the handshake.
    """
    world = script()
    peer, _ = world.accept()
    world.connection.shutdown()
    world.pump()
    (closing,) = peer.take()
    dss = find(closing.options, Dss)
    assert dss.data_fin
    assert (dss.dsn, dss.subflow_seq, dss.length) == (world.keys.incoming.number(0), 0, 1)
    world.wait(2)
    assert any(dss.data_fin for one in peer.take() if (dss := find(one.options, Dss)))
    peer.send(ACK, world.ack(1))
    peer.send(ACK, world.data(0, 1, 0, acked=1, data_fin=True))
    assert world.connection.closed
    assert world.connection.failure is None


def test_third_ack_goes_before_the_data_fin(script: Any) -> None:
    """Section 3.1: without the keys of the third ACK the peer could not tell what DSS means."""
    world = script()
    peer = world.dial()
    world.connection.shutdown()
    first, *rest = peer.syn_ack(MpCapable(sender_key=PEER_KEY))
    assert find(first.options, MpCapable).receiver_key == PEER_KEY
    world.wait(2)
    assert any(dss.data_fin for one in rest + peer.take() if (dss := find(one.options, Dss)))


# Section 3.2: MP_JOIN.


@pytest.mark.requirement("RFC 8684", "3.2-MUST-4")
def test_join_step_by_step(script: Any) -> None:
    """Section 3.2: token, HMACs; the third ACK again until the fourth, and no data before it."""
    world = script(endpoints=SECOND)
    first, _ = world.accept()
    first.send(ACK, world.ack())
    second, syn = world.joining()
    assert (syn.token, syn.address_id) == (world.keys.token, 2)
    (third,) = second.syn_ack(world.join_answer(syn))
    local, remote = world.keys.pair()
    proof = MpJoinAck(hmac=crypto.join_hmac(remote, local, syn.nonce, 99)[:20])
    assert find(third.options, MpJoinAck) == proof
    world.write(bytes(100_000))
    assert not any(one.payload for one in second.take())
    world.wait(2)
    again = second.take()
    assert len(again) > 1
    assert [find(one.options, MpJoinAck) for one in again] == [proof] * len(again)
    assert not any(one.payload for one in again)
    second.send(ACK, world.ack())
    world.wait(30)
    assert not any(find(one.options, MpJoinAck) for one in second.take())


def test_third_ack_of_a_join_comes_again_twice_before_intervals_double(script: Any) -> None:
    """Section 3.2 names no interval; an ACK without data is lost without a trace."""
    world = script(endpoints=SECOND)
    first, _ = world.accept()
    first.send(ACK, world.ack())
    second, syn = world.joining()
    second.syn_ack(world.join_answer(syn))
    times = [world.now // 1_000_000]
    while len(times) < 4:
        world.wait(0.001)
        times += [world.now // 1_000_000 for _ in second.take()]
    once, twice, thrice = (b - a for a, b in itertools.pairwise(times))
    assert (once, twice, thrice) == (201, 200, 400)


def test_join_without_fourth_ack_is_given_up(script: Any) -> None:
    """Section 3.2: in the end; the connection lives on."""
    world = script(endpoints=SECOND)
    first, _ = world.accept()
    first.send(ACK, world.ack())
    second, syn = world.joining()
    second.syn_ack(world.join_answer(syn))
    world.wait(60)
    assert second.take()[-1].flags & RST
    assert not world.connection.closed
    assert len(world.connection.subflows) == 1


@pytest.mark.requirement(
    "RFC 8684", "3.2-MUST-7", "3.2-SHOULD-2", "3.2-MUST-9", "3.2-MUST-10", "3.9.3-MUST-1"
)
@pytest.mark.parametrize("wrong", [{"hmac": bytes(8)}, None])
def test_join_whose_answer_proves_nothing_is_reset(script: Any, wrong: Any) -> None:
    """Section 3.2: a wrong HMAC in the SYN/ACK, or no MP_JOIN."""
    world = script(endpoints=SECOND)
    first, _ = world.accept()
    first.send(ACK, world.ack())
    second, syn = world.joining()
    options = () if wrong is None else (world.join_answer(syn, **wrong),)
    (answer,) = second.syn_ack(*options)
    assert answer.flags & RST
    assert find(answer.options, MpTcprst) == MpTcprst(reason=ResetReason.MPTCP)
    assert second.relative(answer) == 1
    assert len(world.connection.subflows) == 1
    assert world.tracer.count("sub_established") == 0


@pytest.mark.requirement("RFC 8684", "3.2-MUST-1", "3.4.1-SHOULD-1")
def test_address_id_of_the_answer(script: Any) -> None:
    """Section 3.2: the SYN/ACK names the peer's address, by which the peer withdraws it."""
    world = script(endpoints=SECOND)
    first, _ = world.accept()
    first.send(ACK, world.ack())
    second, syn = world.joining()
    second.syn_ack(world.join_answer(syn, address_id=5))
    second.send(ACK, world.ack())
    assert world.tracer.events[-1][0] == "sub_established"
    assert world.tracer.events[-1][1]["rem_id"] == 5
    first.send(ACK, world.ack(), RemoveAddr(address_ids=(5,)))
    world.wait(5)
    assert second.take()[-1].flags & RST
    assert len(world.connection.subflows) == 1


@pytest.mark.requirement("RFC 8684", "3.3.8-SHOULD-NOT-1")
def test_backup_flag_of_the_answer(script: Any) -> None:
    """Section 3.2: the B flag of the SYN/ACK asks us not to use the subflow while others work."""
    world = script(endpoints=SECOND)
    first, _ = world.accept()
    first.send(ACK, world.ack())
    second, syn = world.joining()
    second.syn_ack(world.join_answer(syn, backup=True))
    second.send(ACK, world.ack())
    world.write(bytes(40_000))
    assert not any(one.payload for one in second.take())
    assert any(one.payload for one in first.take())


@pytest.mark.requirement("RFC 8684", "3.1-MUST-NOT-1")
def test_no_join_before_the_connection_is_confirmed(script: Any) -> None:
    """Section 3.2: the peer has the keys for certain only when it has sent DSS."""
    world = script(endpoints=SECOND)
    peer, _ = world.accept()
    assert world.out == []
    peer.send(ACK, world.ack())
    _, syn = world.joining()
    assert syn.token == world.keys.token


# Section 3.4: addresses.


@pytest.mark.requirement("RFC 8684", "3.4.1-SHOULD-2", "3.9.1-SHOULD-1", "3.9.1-SHOULD-2")
def test_announcement_confirms_the_handshake_with_dss(script: Any) -> None:
    """Section 3.4.1: an ADD_ADDR may be the first thing the peer says."""
    world = script()
    peer, _ = world.accept()
    local, remote = world.keys.pair()
    hmac = crypto.add_addr_hmac(local, remote, 5, "10.0.2.2", None)
    option = AddAddr(address_id=5, address="10.0.2.2", hmac=hmac)
    answers = peer.send(ACK, world.ack(), option)
    assert any(find(one.options, AddAddr) for one in answers)
    second, syn = world.joining()
    assert syn.token == world.keys.token
    assert second.flow.remote.port == 80


# Section 3.3: data transfer, the same in both roles.


@pytest.mark.requirement("RFC 8684", "3.3.3-MUST-2")
def test_data_and_end_of_the_peer(script: Any) -> None:
    """Sections 3.3.1 and 3.3.3: mappings and DATA_FIN of a responder."""
    world = script()
    peer, _ = world.accept()
    peer.send(ACK, world.data(0, 3, 1), payload=b"abc")
    *_, last = peer.send(ACK, world.data(3, 1, 0, data_fin=True))
    assert find(last.options, Dss).data_ack == world.keys.outgoing.number(4)
    assert world.connection.read(10) == b"abc"
    assert world.connection.at_eof
    world.connection.shutdown()
    world.pump()
    answers = peer.take()
    assert find(answers[-1].options, Dss).data_fin
    assert not any(one.flags & FIN for one in answers)
    assert any(one.flags & FIN for one in peer.send(ACK, world.ack(1)))
    assert world.connection.closed


def test_window_of_who_opened_the_connection_grows_with_what_is_read(script: Any) -> None:
    """Its segments are measured from the handshake on: before, it does not know their size."""
    world = script(receive_buffer=6 << 20, receive_buffer_initial=16_000, tcp={"timestamps": True})
    peer = world.dial()
    (syn,) = peer.take()
    stamp = find(syn.options, Timestamps)
    world.wait(0.1)
    (third, *_) = peer.syn_ack(MpCapable(sender_key=PEER_KEY), Timestamps(1, stamp.value))
    world.keys.learn(find(third.options, MpCapable).sender_key)
    for turn in range(1, 4):
        world.wait(0.1)
        stamp = Timestamps(1 + turn, find(third.options, Timestamps).value)
        start = 1400 * (turn - 1)
        peer.send(ACK, stamp, world.data(start, 1400, start + 1), payload=bytes(1400))
        world.connection.read(1400)
        world.pump()
    assert world.connection.incoming.capacity == 16_000


def test_unknown_join_answer_is_no_join(script: Any) -> None:
    """Section 3.2: MP_JOIN on the first subflow means nothing."""
    world = script()
    peer, _ = world.accept()
    peer.send(ACK, world.ack(), MpJoinAck(hmac=bytes(20)))
    peer.send(ACK, world.data(0, 3, 1), payload=b"abc")
    assert world.connection.read(10) == b"abc"
    assert not world.connection.fallback


@pytest.mark.parametrize("host", ["10.0.1.2", "255.255.255.255"])
def test_connection_that_cannot_begin_leaves_nothing(script: Any, host: str) -> None:
    """Even with data to send: no program has the connection, so there is no event."""
    world = script()
    flow = Flow(Address(LOCAL.host, 4000), Address(host, 80))
    world.dial()
    with pytest.raises(OSError, match=r"connection|address"):
        world.endpoint.connect(flow, world.now, data=b"hello")
    world.pump()
    assert world.events == []
    assert world.endpoint.connections == 1
    assert world.tracer.count("fault") == 0
