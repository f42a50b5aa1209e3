"""Peers that are broken or hostile about subflows and addresses (RFC 8684), or just vanish."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.packet.address import Address, Flow
from testbed.packet.mptcp import (
    AddAddr,
    MpCapable,
    MpJoinAck,
    MpJoinSyn,
    MpJoinSynAck,
    MpPrio,
    RemoveAddr,
)
from testbed.packet.options import Option, find
from testbed.packet.segment import ACK, FIN, RST, SYN

from .script import LOCAL, LOCAL_2, PEER_KEY, REMOTE_2, all_dss

# Joins.


def test_join_before_the_third_ack(script: Any) -> None:
    """Section 3.2: the connection is not established yet, so its token is unknown."""
    world = script()
    peer = world.subpeer()
    (answer,) = peer.syn(MpCapable())
    world.keys.learn(find(answer.options, MpCapable).sender_key)
    second = world.subpeer(LOCAL_2, REMOTE_2)
    syn = MpJoinSyn(address_id=2, token=world.keys.remote_token, nonce=1)
    (answer,) = second.syn(syn)
    assert answer.flags & RST


def test_join_with_the_token_of_a_closed_connection(script: Any) -> None:
    """Section 3.2."""
    world = script()
    world.open()
    world.connection.abort()
    world.pump()
    world.out.clear()
    second = world.subpeer(LOCAL_2, REMOTE_2)
    (answer,) = second.syn(MpJoinSyn(address_id=2, token=world.keys.remote_token, nonce=1))
    assert answer.flags & RST


def test_join_syn_that_comes_again(script: Any) -> None:
    """Section 3.2: the same SYN/ACK, with the same nonce, and one subflow."""
    world = script()
    world.open()
    second = world.subpeer(LOCAL_2, REMOTE_2)
    syn = MpJoinSyn(address_id=2, token=world.keys.remote_token, nonce=1)
    answers = second.syn(syn) + second.syn(syn)
    assert len(answers) == 2
    assert len({find(one.options, MpJoinSynAck) for one in answers}) == 1
    world.join_ack(second, answers[0], nonce=1)
    assert len(world.connection.subflows) == 2


def test_bad_proof_after_the_connection_has_ended(script: Any) -> None:
    """Section 3.2: the subflow is reset all the same."""
    world = script()
    first = world.open()
    second = world.subpeer(LOCAL_2, REMOTE_2)
    second.syn(MpJoinSyn(address_id=2, token=world.keys.remote_token, nonce=1))
    world.connection.shutdown()
    world.pump()
    first.send(ACK, world.data(0, 1, 0, acked=1, data_fin=True))
    assert world.connection.closed
    answers = second.send(ACK, MpJoinAck(hmac=bytes(20)))
    assert answers[-1].flags & RST


# Addresses.


@pytest.mark.requirement("RFC 8684", "3.4.1-SHOULD-1")
def test_address_id_in_use_keeps_its_address(script: Any) -> None:
    """Section 3.4.1: it must be withdrawn first."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.ack(), world.announcement(5, REMOTE_2.host))
    world.out.clear()
    assert peer.send(ACK, world.ack(), world.announcement(5, "10.0.3.2")) == []
    assert world.out == []
    peer.send(ACK, world.ack(), RemoveAddr(address_ids=(5,)))
    world.out.clear()
    peer.send(ACK, world.ack(), world.announcement(5, "10.0.3.2"))
    assert [one.destination.host for one in world.out] == ["10.0.3.2"]


@pytest.mark.parametrize(("number", "host"), [(0, REMOTE_2.host), (5, LOCAL.host)])
def test_announcement_nobody_connects_to(script: Any, number: int, host: str) -> None:
    """Section 3.4.1: id 0 is the initial address, and an address of our own is not the peer's."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.ack(), world.announcement(number, host))
    assert world.out == []


def test_flood_of_announcements(script: Any) -> None:
    """Section 3.4.1: no more subflows than the limit, no more answers than questions."""
    world = script()
    peer = world.open()
    answers = []
    for number in range(1, 256):
        answers += peer.send(ACK, world.ack(), world.announcement(number, f"10.9.9.{number}"))
    assert len(answers) <= 255
    assert len(world.connection.subflows) <= 9


@pytest.mark.requirement("RFC 8684", "3.4.2-SHOULD-5")
def test_withdrawn_initial_address(script: Any) -> None:
    """Section 3.4.2: id 0; its subflows end, the connection does not."""
    world = script()
    first = world.open()
    second = world.joined()
    second.send(ACK, world.ack(), RemoveAddr(address_ids=(0,)))
    world.wait(5)
    assert first.take()[-1].flags & RST
    second.send(ACK, world.data(0, 3, 1), payload=b"abc")
    assert world.connection.read(100) == b"abc"


# Options in odd places, and ends of subflows.


@pytest.mark.parametrize(
    "odd",
    [
        MpCapable(),
        MpCapable(sender_key=9, receiver_key=8),
        MpCapable(sender_key=PEER_KEY, receiver_key=8, data_length=3),
        MpJoinSyn(address_id=1, token=2, nonce=3),
        MpJoinSynAck(address_id=1, hmac=bytes(8), nonce=3),
        MpJoinAck(hmac=bytes(20)),
        MpPrio(backup=True),
        RemoveAddr(address_ids=(77,)),
        AddAddr(address_id=7, address="10.0.0.9"),
    ],
    ids=lambda odd: type(odd).__name__,
)
@pytest.mark.parametrize("joined", [False, True])
def test_option_on_the_wrong_segment(script: Any, odd: Option, joined: bool) -> None:
    """Section 3: what makes no sense where it is changes nothing."""
    world = script()
    peer = first = world.open()
    if joined:
        peer = world.subpeer(LOCAL_2, REMOTE_2)
        world.join(peer)
    assert len(peer.send(ACK, odd, payload=b"xyz" if joined else b"")) <= 2
    first.send(ACK, world.data(0, 3, 1), payload=b"abc")
    assert world.connection.read(100) == b"abc"
    assert not world.connection.fallback
    assert len(world.connection.subflows) == 1 + joined


def test_fin_of_a_subflow_is_answered_by_fin(script: Any) -> None:
    """Section 3.3.3: the peer gives up the subflow; data goes on another."""
    world = script()
    first = world.open()
    second = world.joined()
    answers = first.send(FIN | ACK, world.ack())
    assert any(one.flags & FIN for one in answers)
    first.send(ACK, world.ack())
    assert len(world.connection.subflows) == 1
    world.write(b"still here")
    assert [one.payload for one in second.take() if one.payload] == [b"still here"]


@pytest.mark.requirement("RFC 8684", "3.3.3-MUST-NOT-1")
def test_last_subflow_stays_half_open_for_outstanding_data(script: Any) -> None:
    """Section 3.3.3: a FIN of the peer ends only its own direction of the subflow."""
    world = script()
    peer = world.open()
    peer.window = 5000
    world.connection.send(bytes(12_000))
    world.pump()
    peer.take()
    answers = peer.send(FIN | ACK, world.ack())
    while world.connection.unsent:
        assert not any(one.flags & FIN for one in answers)
        answers = peer.send(ACK, world.ack(peer.ack - 1))
    assert any(one.flags & FIN for one in answers)
    assert not world.connection.closed


@pytest.mark.requirement("RFC 8684", "3.3.3-MUST-NOT-1")
def test_last_subflow_may_go_and_another_come(script: Any) -> None:
    """Section 3.3.3: break before make; data and DATA_FIN wait for the new subflow."""
    world = script()
    first = world.open()
    world.write(b"data")
    first.take()
    world.connection.shutdown()
    first.send(RST | ACK, world.ack())
    assert world.connection.subflows == []
    world.wait(30)
    second = world.subpeer(LOCAL_2, REMOTE_2)
    answers = world.join(second)
    assert [one.payload for one in answers if one.payload] == [b"data"]
    world.wait(1)
    assert any(dss.data_fin for dss in all_dss(answers + second.take()))


def test_connection_without_a_subflow_ends(script: Any) -> None:
    """Section 3.3.3: after a time-out."""
    world = script(close_timeout_ns=10**10)
    peer = world.open()
    peer.send(RST | ACK)
    world.wait(9)
    assert not world.connection.closed
    world.wait(2)
    assert world.connection.closed
    assert world.connection.failure is not None


def test_join_that_cannot_be_opened_does_not_keep_the_connection(script: Any) -> None:
    """The time-out of a connection without a subflow goes on."""
    world = script(close_timeout_ns=10**10)
    peer = world.open()
    address = Address("10.0.9.9", 3000)
    host = world.source_for(address.host)
    taken = Flow(Address(host, world.port_for(host, address)), address)
    world.endpoint.tcp.connect(taken, world.now)
    peer.send(ACK, world.ack(), world.announcement(5, address.host, address.port))
    peer.send(RST | ACK)
    world.wait(11)
    assert world.connection.closed


def test_syn_whose_third_ack_never_comes(script: Any) -> None:
    """Section 3.1: nothing of it stays."""
    world = script()
    peer = world.subpeer()
    (answer,) = peer.syn(MpCapable())
    assert answer.flags == SYN | ACK
    world.wait(300)
    assert world.connections == []
    assert world.events == []
    assert world.endpoint.next_timer() is None
