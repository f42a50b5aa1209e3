"""Attacks of strangers and hostile peers by MPTCP options: small effect, at their own cost."""

from __future__ import annotations

import random
from typing import Any

import pytest

from testbed.packet.address import Address
from testbed.packet.mptcp import (
    AddAddr,
    Dss,
    MpCapable,
    MpFail,
    MpJoinAck,
    MpJoinSyn,
    MpPrio,
    MpTcprst,
    RemoveAddr,
    ResetReason,
)
from testbed.packet.options import Option, find
from testbed.packet.segment import ACK, FIN, RST, SYN
from testbed.stack.connection import Closed, ErrorKind
from testbed.stack.mptcp.connection import MptcpConnection
from testbed.stack.mptcp.inbound import MOST_MESSAGES
from testbed.stack.mptcp.mapping import Mapping
from testbed.stack.mptcp.path_manager.base import PathLimits
from testbed.stack.mptcp.received_mappings import MOST_MAPPINGS, ReceivedMappings

from .script import LOCAL_2, PEER_KEY

ADDRESS = AddAddr(address_id=3, address="10.0.3.2", hmac=bytes(8))
SIGNALS = (ADDRESS, AddAddr(address_id=3, address="10.0.3.2"), RemoveAddr(address_ids=(0, 1)),
           MpPrio(backup=True), MpFail(dsn=1))  # fmt: skip


# Before the keys are known.


@pytest.mark.parametrize("signal", SIGNALS)
def test_reset_with_a_signal_before_the_third_ack(script: Any, signal: Option) -> None:
    world = script()
    peer = world.subpeer()
    peer.syn(MpCapable())
    peer.send(RST, signal)
    assert world.endpoint.connections == 0
    world.open()
    assert world.endpoint.connections == 1


@pytest.mark.interpreted
def test_syn_costs_no_step(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stepped: list[MptcpConnection] = []
    step = MptcpConnection.step
    monkeypatch.setattr(
        MptcpConnection, "step", lambda one, now: (stepped.append(one), step(one, now))
    )
    world = script()
    peer = world.subpeer()
    key = find(peer.syn(MpCapable())[0].options, MpCapable).sender_key
    assert not stepped
    peer.send(ACK, MpCapable(sender_key=PEER_KEY, receiver_key=key))
    assert set(stepped) == set(world.connections)


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("flags", [RST | ACK, SYN | ACK])
def test_signal_in_answer_to_the_syn(script: Any, signal: Option, flags: int) -> None:
    world = script()
    peer = world.dial()
    peer.take()
    peer.seq = 0
    options = [MpCapable(sender_key=PEER_KEY)] if flags & SYN else []
    peer.send(flags, *options, signal, seq=0)
    (connection,) = world.connections
    if flags & RST:
        assert connection.failure.kind is ErrorKind.REFUSED
        assert any(isinstance(event, Closed) for event in world.events)
        assert world.endpoint.connections == 0
    else:
        assert connection.failure is None


# A fault of ours in one connection.


@pytest.mark.parametrize("where", ["step", "handle_timer"])
@pytest.mark.interpreted
def test_fault_in_one_connection_leaves_the_others_their_round(script: Any, where: str) -> None:
    world = script()
    peers = [world.subpeer(remote=Address("10.0.1.2", 5000 + each)) for each in range(3)]
    for peer in peers:
        key = find(peer.syn(MpCapable())[0].options, MpCapable).sender_key
        peer.send(ACK, MpCapable(sender_key=PEER_KEY, receiver_key=key))
    first, second, third = world.connections

    def fault(now: int) -> None:
        raise ZeroDivisionError

    setattr(second.paths, where, fault)
    for connection in world.connections:
        connection.send(b"octets")
    world.pump()
    world.wait(1 if where == "step" else 70)
    for peer in (peers[0], peers[2]):
        assert b"octets" in [one.payload for one in peer.take()]
    assert any(one.flags & RST for one in peers[1].take())
    assert second.failure.kind is ErrorKind.INTERNAL
    assert "ZeroDivisionError" in second.failure.detail
    assert first.failure is third.failure is None
    assert world.endpoint.connections == 2


# Segments that cost the stack more than the peer.


def test_mappings_in_any_order_are_what_came_first() -> None:
    rng = random.Random(5)
    for _ in range(200):
        known: dict[int, int] = {}
        mappings = ReceivedMappings()
        for _ in range(30):
            start, length = rng.randrange(300), rng.randrange(1, 40)
            data = rng.randrange(1000)
            mappings.add(Mapping(data=data, subflow=start, length=length))
            for each in range(length):
                known.setdefault(start + each, data + each)
        for position in range(340):
            found = mappings.at(position)
            assert (None if found is None else found.data_at(position)) == known.get(position)
            if found is None:
                after = min((each for each in known if each > position), default=None)
                assert mappings.start_after(position) == after


def test_mappings_are_bounded_in_any_order() -> None:
    for order in (range(0, 80_000, 2), range(80_000, 0, -2)):
        mappings = ReceivedMappings()
        for start in order:
            mappings.add(Mapping(data=start, subflow=start, length=1))
        assert len(mappings) == MOST_MAPPINGS


def test_mapping_over_very_many_others_is_not_kept() -> None:
    mappings = ReceivedMappings()
    for start in range(10, 20_000, 2):
        mappings.add(Mapping(data=start, subflow=start, length=1))
    before = len(mappings)
    mappings.add(Mapping(data=0, subflow=0, length=30_000))
    assert len(mappings) == before
    assert mappings.at(0) is None


def test_messages_are_bounded_after_the_data_level_has_closed(script: Any) -> None:
    world = script()
    peer = world.open()
    peer.send(ACK, world.ack())
    world.connection.shutdown()
    world.pump()
    peer.send(ACK, world.data(0, 1, 0, data_fin=True, acked=1))
    assert world.connection.closed
    (subflow,) = world.connection.subflows
    for number in range(3 * MOST_MESSAGES):
        peer.send(ACK, world.announcement(number % 200, "10.0.3.2"))
    assert len(subflow.inbound.messages) <= MOST_MESSAGES


def test_mp_fail_beside_the_infinite_mapping_leaves(script: Any) -> None:
    """A waiting option must find an ACK, or each incoming segment would request another ACK."""
    world = script(checksum=True)
    peer = world.open(flags=0x81)
    peer.send(ACK, world.ack())
    fail = MpFail(dsn=world.keys.incoming.number(0))
    peer.send(ACK, fail)
    world.connection.shutdown()
    world.pump()
    assert any(one.flags & FIN for one in peer.take())
    answers = [one for _ in range(4) for one in peer.send(ACK, fail, ack=1)]
    acks = [one for one in answers if not one.flags & FIN]
    assert len(acks) == 4
    assert all(find(one.options, MpFail) for one in acks)
    assert sum(len(peer.send(ACK, ack=1, payload=b"x")) for _ in range(10)) <= 10


# Blind signals.


def test_blind_infinite_mapping_does_not_count(script: Any) -> None:
    """Section 3.7: a stranger that hits the window does not know where the data stream is."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(0, 4, 1), payload=b"data")
    for position in (1 << 62, 1 << 30, -(1 << 30), 1 << 20):
        blind = Dss(dsn=world.keys.outgoing.number(position), subflow_seq=5, length=0)
        peer.send(ACK, blind, payload=b"x", seq=peer.seq + 1000)
        assert not world.connection.fallback
    peer.send(ACK, world.data(4, 4, 5), payload=b"more")
    assert world.connection.read(100) == b"datamore"
    assert not world.connection.fallback


def test_infinite_mapping_counts_with_its_octets(script: Any) -> None:
    """A segment out of order may be a stranger's until all segments before it have arrived."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(0, 4, 1), payload=b"data")
    later = Dss(dsn=world.keys.outgoing.number(8), subflow_seq=9, length=0)
    retroactive = Dss(dsn=world.keys.outgoing.number(4), subflow_seq=5, length=0)
    for infinite in (retroactive, later):
        peer.send(ACK, infinite, payload=b"plain", seq=peer.seq + 4)
        assert not world.connection.fallback
    peer.send(ACK, world.data(4, 4, 5), payload=b"more")
    assert world.connection.fallback
    assert world.connection.read(100) == b"datamoreplain"


@pytest.mark.requirement("RFC 8684", "3-MUST-1", "3.4.2-MUST-1")
@pytest.mark.parametrize("off", [-1, 1, 1000])
def test_signal_away_from_the_next_octet_does_not_count(script: Any, off: int) -> None:
    """Section 3.4.2: a stranger who knows ports and addresses tries all windows."""
    world = script()
    first = world.open()
    second = world.joined()
    first.send(ACK, world.ack())
    world.connection.send(b"octets")
    world.pump()
    for signal in (RemoveAddr(address_ids=(0, 2)), MpPrio(backup=True),
                   MpFail(dsn=world.keys.incoming.number(0))):  # fmt: skip
        first.send(ACK, signal, seq=first.seq + off)
    world.wait(5)
    assert not any(subflow.backup or subflow.fallback for subflow in world.connection.subflows)
    assert len(world.connection.subflows) == 2
    assert not any(one.flags & RST for one in second.take())


@pytest.mark.requirement("RFC 8684", "3.4.2-SHOULD-3", "3.4.2-SHOULD-NOT-1")
def test_withdrawn_subflow_whose_peer_answers_stays(script: Any) -> None:
    """Section 3.4.2: a keep-alive first; if there is a response, the path is not removed."""
    world = script()
    first = world.open()
    second = world.joined()
    first.send(ACK, world.ack(), RemoveAddr(address_ids=(2,)))
    probe = second.take()[-1]
    assert (second.relative(probe), probe.payload) == (0, b"")
    world.wait(0.1)
    second.send(ACK)
    world.wait(10)
    assert len(world.connection.subflows) == 2
    assert not any(one.flags & RST for one in second.take())


def test_mp_fail_about_data_that_was_never_sent(script: Any) -> None:
    world = script(checksum=True)
    peer = world.open(flags=0x81)
    peer.send(ACK, world.ack())
    for number in (world.keys.incoming.number(1), world.keys.incoming.number(-(1 << 31)), 17):
        peer.send(ACK, MpFail(dsn=number))
    assert not world.connection.fallback
    peer.send(ACK, MpFail(dsn=world.keys.incoming.number(0)))
    assert world.connection.fallback


# Half-open joins.


def test_half_open_joins_take_nobodys_place(script: Any) -> None:
    """A host with the token but without the key: its SYNs do not count against the limit."""
    world = script(limits=PathLimits(subflows=1))
    peer = world.open()
    peer.send(ACK, world.ack())
    for number in range(5):
        stranger = world.subpeer(LOCAL_2, Address("10.0.9.9", 1000 + number))
        stranger.syn(MpJoinSyn(address_id=9, token=world.keys.remote_token, nonce=number))
    world.joined()
    assert world.tracer.count("sub_established") == 1
    late = world.subpeer(LOCAL_2, Address("10.0.2.2", 4444))
    (answer,) = late.syn(MpJoinSyn(address_id=4, token=world.keys.remote_token, nonce=1))
    assert answer.flags & RST


def test_half_open_joins_are_not_looked_at_in_each_step(script: Any) -> None:
    """Each costs only its SYN: otherwise thousands of them would slow down each segment."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.ack())
    for number in range(50):
        stranger = world.subpeer(LOCAL_2, Address("10.0.9.9", 1000 + number))
        (answer,) = stranger.syn(
            MpJoinSyn(address_id=9, token=world.keys.remote_token, nonce=number)
        )
        assert answer.flags & SYN
    assert len(world.connection.subflows) == 1
    assert world.endpoint.tcp.uses(80)
    (reset,) = [one for one in stranger.send(ACK, MpJoinAck(hmac=bytes(20))) if one.flags & RST]
    assert find(reset.options, MpTcprst) is not None
    world.joined()
    assert len(world.connection.subflows) == 2
    world.connection.abort()
    world.wait(100)
    assert world.endpoint.connections == 0
    assert world.endpoint.next_timer() is None
    assert not world.endpoint.tcp.uses(80)


def test_half_open_join_of_a_connection_that_ends_is_reset(script: Any) -> None:
    world = script()
    peer = world.open()
    peer.send(ACK, world.ack())
    late = world.subpeer(LOCAL_2, Address("10.0.2.2", 4444))
    answer = late.syn(MpJoinSyn(address_id=4, token=world.keys.remote_token, nonce=1))
    world.connection.abort()
    world.pump()
    (reset,) = world.join_ack(late, answer[0], nonce=1)
    assert reset.flags & RST
    assert world.endpoint.connections == 0


def test_limit_counts_at_the_third_ack(script: Any) -> None:
    world = script(limits=PathLimits(subflows=1))
    peer = world.open()
    peer.send(ACK, world.ack())
    early = world.subpeer(LOCAL_2, Address("10.0.2.2", 4444))
    answer = early.syn(MpJoinSyn(address_id=4, token=world.keys.remote_token, nonce=1))
    world.joined()
    (reset,) = world.join_ack(early, answer[0], nonce=1)
    assert reset.flags & RST
    assert find(reset.options, MpTcprst).reason == ResetReason.PROHIBITED
    assert world.tracer.count("sub_established") == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::ffff:127.0.0.1", "10.0.1.1"])
def test_announced_address_of_this_host_is_not_joined(script: Any, host: str) -> None:
    """A peer must not make this host connect to its own programs."""
    world = script(limits=PathLimits(subflows=4, add_addr_accepted=4))
    peer = world.open()
    peer.send(ACK, world.ack())
    (echo,) = peer.send(ACK, world.announcement(3, host))
    assert find(echo.options, AddAddr) is not None
    assert not world.out
    peer.send(ACK, world.announcement(4, "10.0.3.2"))
    assert any(find(one.options, MpJoinSyn) for one in world.out)


@pytest.mark.parametrize("payload", [b"", b"x"])
@pytest.mark.parametrize("checksum", [False, True])
def test_mapping_of_a_stranger_with_a_wrong_form_resets_nothing(
    script: Any, checksum: bool, payload: bytes
) -> None:
    """A checksum against the agreement is the peer's fault only in a segment of the peer."""
    world = script(checksum=checksum)
    peer = world.open()
    peer.send(ACK, world.ack())
    dss = Dss(dsn=123, subflow_seq=1, length=10, checksum=None if checksum else 5)
    capable = MpCapable(sender_key=1, receiver_key=2, data_length=4,
                        checksum=None if checksum else 5)  # fmt: skip
    for option in (dss, capable):
        out = peer.send(ACK, option, seq=peer.seq + 20_000, payload=payload)
        assert not any(one.flags & RST for one in out)
    (answer,) = peer.send(ACK, dss)
    assert answer.flags & RST


@pytest.mark.parametrize("ack", [1, 6])
@pytest.mark.parametrize("payload", [b"", b"x"])
def test_bare_segment_of_a_stranger_is_no_fallback(script: Any, payload: bytes, ack: int) -> None:
    """Before the peer's first Data ACK, section 3.7 lets its segments without options decide."""
    world = script()
    peer, _ = world.accept()
    world.write(b"hello")
    peer.take()
    peer.send(ACK, seq=5000, ack=ack, payload=payload)
    assert not world.connection.fallback
    peer.send(ACK, world.ack(5))
    assert not world.connection.fallback
    assert not world.connection.unsent


def test_data_ack_of_a_stranger_confirms_no_handshake(script: Any) -> None:
    """The third ACK was lost: if it were not repeated, the peer would never learn our key."""
    world = script()
    peer, _ = world.accept()
    peer.send(ACK, world.ack(), seq=5000)
    peer.seq = 0
    (third,) = peer.send(SYN | ACK, MpCapable(sender_key=PEER_KEY), seq=0)
    assert find(third.options, MpCapable).receiver_key == PEER_KEY


def test_bare_segments_of_the_peer_are_a_fallback_in_any_order(script: Any) -> None:
    world = script()
    peer, _ = world.accept()
    world.write(b"hello")
    peer.take()
    peer.send(ACK, seq=5, payload=b"efgh")
    peer.send(ACK, seq=1, payload=b"abcd")
    assert world.connection.fallback
    assert world.connection.read(100) == b"abcdefgh"
