"""Peers that are broken or hostile (RFC 8684): what they get, and what they cannot do to us."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.stack.mptcp import crypto
from testbed.stack.mptcp.mapping import Mapping, ReceivedMappings
from testbed.stack.mptcp.state import DataState
from testbed.stack.packet.address import Address, Flow
from testbed.stack.packet.mptcp import (
    AddAddr,
    Dss,
    MpCapable,
    MpJoinAck,
    MpJoinSyn,
    MpJoinSynAck,
    MpPrio,
    RemoveAddr,
)
from testbed.stack.packet.options import Option, find
from testbed.stack.packet.segment import ACK, FIN, RST, SYN

from .script import LOCAL, LOCAL_2, PEER_KEY, REMOTE_2


def announcement(world: Any, number: int, host: str, port: int | None = None) -> AddAddr:
    """Return an ADD_ADDR of the peer."""
    local, remote = world.keys.pair()
    hmac = crypto.add_addr_hmac(local, remote, number, host, port)
    return AddAddr(address_id=number, address=host, port=port, hmac=hmac)


def all_dss(segments: list[Any]) -> list[Dss]:
    return [option for one in segments if (option := find(one.options, Dss)) is not None]


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


def test_second_data_fin_elsewhere_is_ignored(script: Any) -> None:
    """Section 3.3.3: the first stays, and there is no data after it."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(5, 1, 0, data_fin=True))
    peer.send(ACK, world.data(3, 1, 0, data_fin=True))
    peer.send(ACK, world.data(0, 9, 1), payload=b"abcdefghi")
    assert world.connection.read(100) == b"abcde"
    assert world.connection.at_eof


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


def test_whole_window_without_a_mapping_breaks_the_subflow(script: Any) -> None:
    """Section 3.3.1: it is closed with RST; what it sent in vain is not kept."""
    world = script(receive_buffer=20_000)
    first = world.open()
    second = world.subpeer(LOCAL_2, REMOTE_2)
    world.join(second)
    second.send(ACK, world.data(0, 3, 1), payload=b"abc")
    answers = []
    for _ in range(25):
        answers += second.send(ACK, world.ack(), payload=bytes(1000))
    assert answers[-1].flags & RST
    assert len(world.connection.subflows) == 1
    first.send(ACK, world.data(3, 3, 1), payload=b"def")
    assert world.connection.read(100) == b"abcdef"


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
    second = world.subpeer(LOCAL_2, REMOTE_2)
    world.join(second)
    first.send(ACK, payload=b"???")
    assert not world.connection.fallback
    second.send(ACK, world.data(0, 3, 1), payload=b"abc")
    assert world.connection.read(100) == b"abc"


# Fallback.


def test_window_counts_after_a_fallback(script: Any) -> None:
    """Section 3.7: TCP's own flow control is all there is."""
    world = script()
    peer = world.subpeer()
    peer.syn(MpCapable())
    peer.window = 1000
    peer.send(ACK)
    world.connection.send(bytes(3000))
    world.pump()
    assert sum(len(one.payload) for one in peer.take()) == 1000
    peer.window = 0
    assert peer.send(ACK) == []
    peer.window = 5000
    assert sum(len(one.payload) for one in peer.send(ACK)) == 2000


def test_fallback_keeps_no_more_than_it_offered(script: Any) -> None:
    """Section 3.7: the window closes while nobody reads, and opens when somebody does."""
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


def test_fallback_when_data_is_acknowledged_without_data_ack(script: Any) -> None:
    """Section 3.7: the peer has fallen back; what is sent again would be new data for it."""
    world = script()
    peer = world.open()
    world.connection.send(b"data")
    world.pump()
    peer.take()
    peer.send(ACK)
    assert world.connection.fallback
    assert world.connection.unsent == 0
    world.wait(10)
    assert peer.take() == []


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
    first.send(ACK, announcement(world, 5, REMOTE_2.host))
    assert world.out == []
    assert world.connection.info()["fallback"]


# Joins.


def test_join_before_the_third_ack(script: Any) -> None:
    """Section 3.2: the connection is not established yet; its token is nobody's."""
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


def test_address_id_in_use_keeps_its_address(script: Any) -> None:
    """Section 3.4.1: it must be withdrawn first."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.ack(), announcement(world, 5, REMOTE_2.host))
    world.out.clear()
    assert peer.send(ACK, world.ack(), announcement(world, 5, "10.0.3.2")) == []
    assert world.out == []
    peer.send(ACK, world.ack(), RemoveAddr(address_ids=(5,)))
    world.out.clear()
    peer.send(ACK, world.ack(), announcement(world, 5, "10.0.3.2"))
    assert [one.destination.host for one in world.out] == ["10.0.3.2"]


@pytest.mark.parametrize(("number", "host"), [(0, REMOTE_2.host), (5, LOCAL.host)])
def test_announcement_nobody_connects_to(script: Any, number: int, host: str) -> None:
    """Section 3.4.1: id 0 is the initial address, and an address of our own is not the peer's."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.ack(), announcement(world, number, host))
    assert world.out == []


def test_flood_of_announcements(script: Any) -> None:
    """Section 3.4.1: no more subflows than the limit, no more answers than questions."""
    world = script()
    peer = world.open()
    answers = []
    for number in range(1, 256):
        answers += peer.send(ACK, world.ack(), announcement(world, number, f"10.9.9.{number}"))
    assert len(answers) <= 255
    assert len(world.connection.subflows) <= 9


def test_withdrawn_initial_address(script: Any) -> None:
    """Section 3.4.2: id 0; its subflows end, the connection does not."""
    world = script()
    first = world.open()
    second = world.subpeer(LOCAL_2, REMOTE_2)
    world.join(second)
    second.send(ACK, world.ack(), RemoveAddr(address_ids=(0,)))
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
    second = world.subpeer(LOCAL_2, REMOTE_2)
    world.join(second)
    answers = first.send(FIN | ACK, world.ack())
    assert any(one.flags & FIN for one in answers)
    first.send(ACK, world.ack())
    assert len(world.connection.subflows) == 1
    world.connection.send(b"still here")
    world.pump()
    assert [one.payload for one in second.take() if one.payload] == [b"still here"]


@pytest.mark.parametrize("how", [RST | ACK, FIN | ACK])
def test_last_subflow_may_go_and_another_come(script: Any, how: int) -> None:
    """Section 3.3.3: break before make; data and DATA_FIN wait for the new subflow."""
    world = script()
    first = world.open()
    world.connection.send(b"data")
    world.pump()
    first.take()
    world.connection.shutdown()
    first.send(how, world.ack())
    first.send(ACK, world.ack())
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
    peer.send(ACK, world.ack(), announcement(world, 5, address.host, address.port))
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
