"""Every option of MPTCP, on every kind of segment, in every state of TCP (RFC 9293, 3.3.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from testbed.packet.address import Address
from testbed.packet.mptcp import (
    AddAddr,
    Dss,
    MpCapable,
    MpFail,
    MpFastclose,
    MpJoinAck,
    MpJoinSyn,
    MpJoinSynAck,
    MpPrio,
    MpTcprst,
    RemoveAddr,
)
from testbed.packet.options import Option, UnknownOption, find
from testbed.packet.segment import ACK, FIN, RST, SYN
from testbed.stack.mptcp.connection import MptcpConnection

from .script import PEER_KEY, Script, Subpeer

DAY = 86_400
FLAGS = {
    "RST": RST, "RST,ACK": RST | ACK, "SYN": SYN, "SYN,ACK": SYN | ACK, "FIN,ACK": FIN | ACK,
    "FIN": FIN, "ACK": ACK, "none": 0, "all": SYN | FIN | RST | ACK}  # fmt: skip


def _listen(world: Script) -> Subpeer:
    return world.subpeer()


def _closed(world: Script) -> Subpeer:
    return world.subpeer(Address("10.0.1.1", 81))


def _syn_received(world: Script) -> Subpeer:
    peer = world.subpeer()
    (answer,) = peer.syn(MpCapable())
    world.keys.learn(find(answer.options, MpCapable).sender_key)
    return peer


def _syn_sent(world: Script) -> Subpeer:
    peer = world.dial()
    peer.take()
    peer.seq = 0
    return peer


def _established(world: Script) -> Subpeer:
    peer = world.open()
    peer.send(ACK, world.ack())
    return peer


def _joined(world: Script) -> Subpeer:
    _established(world)
    return world.joined()


def _half_joined(world: Script) -> Subpeer:
    _established(world)
    peer = world.subpeer(Address("10.0.2.1", 80), Address("10.0.2.2", 4001))
    peer.syn(MpJoinSyn(address_id=2, token=world.keys.remote_token, nonce=77))
    return peer


def _fin_wait_1(world: Script) -> Subpeer:
    """Our DATA_FIN is acknowledged, and the peer's has come: so FIN leaves."""
    peer = _established(world)
    world.connection.shutdown()
    world.pump()
    peer.take()
    fin = Dss(
        data_ack=world.keys.incoming.number(1), dsn=world.keys.outgoing.number(0),
        subflow_seq=0, length=1, data_fin=True,
    )  # fmt: skip
    before = peer.ack
    peer.send(ACK, fin)
    assert peer.ack == before + 1
    peer.ack = before
    return peer


def _fin_wait_2(world: Script) -> Subpeer:
    peer = _fin_wait_1(world)
    peer.ack += 1
    peer.send(ACK)
    return peer


def _closing(world: Script) -> Subpeer:
    peer = _fin_wait_1(world)
    peer.send(ACK | FIN)
    return peer


def _time_wait(world: Script) -> Subpeer:
    peer = _fin_wait_2(world)
    peer.send(ACK | FIN)
    return peer


def _close_wait(world: Script) -> Subpeer:
    """After a fallback the peer's FIN is that of the connection."""
    peer = world.subpeer()
    peer.syn(MpCapable())
    peer.send(ACK)
    peer.send(ACK | FIN)
    return peer


def _last_ack(world: Script) -> Subpeer:
    """The peer gives up the only subflow, and so do we."""
    peer = _established(world)
    before = peer.ack
    peer.send(ACK | FIN, world.ack())
    assert peer.ack == before + 1
    peer.ack = before
    return peer


STATES: dict[str, Callable[[Script], Subpeer]] = {
    "CLOSED": _closed,
    "LISTEN": _listen,
    "SYN-SENT": _syn_sent,
    "SYN-RECEIVED": _syn_received,
    "SYN-RECEIVED join": _half_joined,
    "ESTABLISHED": _established,
    "ESTABLISHED join": _joined,
    "FIN-WAIT-1": _fin_wait_1,
    "FIN-WAIT-2": _fin_wait_2,
    "CLOSING": _closing,
    "TIME-WAIT": _time_wait,
    "CLOSE-WAIT": _close_wait,
    "LAST-ACK": _last_ack,
}


def _options(world: Script) -> list[Option]:
    keys = world.keys
    known = keys.remote or 5
    return [
        MpCapable(),
        MpCapable(sender_key=PEER_KEY),
        MpCapable(sender_key=PEER_KEY, receiver_key=known),
        MpCapable(sender_key=PEER_KEY, receiver_key=known, data_length=4),
        MpCapable(version=0, flags=0xFF),
        MpJoinSyn(address_id=2, token=keys.remote_token, nonce=77),
        MpJoinSynAck(address_id=2, hmac=bytes(8), nonce=77),
        MpJoinAck(hmac=bytes(20)),
        Dss(data_ack=keys.incoming.number(0)),
        Dss(data_ack=keys.incoming.number(1 << 40)),
        Dss(dsn=keys.outgoing.number(0), subflow_seq=1, length=4),
        Dss(dsn=keys.outgoing.number(0), subflow_seq=1, length=0),
        Dss(dsn=keys.outgoing.number(0), subflow_seq=0, length=1, data_fin=True),
        Dss(dsn=keys.outgoing.number(0), subflow_seq=1, length=5, data_fin=True, checksum=7),
        AddAddr(address_id=3, address="10.0.3.2", hmac=bytes(8)),
        AddAddr(address_id=3, address="10.0.3.2"),
        AddAddr(address_id=0, address="fd00::1", port=7, hmac=bytes(8)),
        world.announcement(3, "10.0.3.2") if keys.remote else MpPrio(backup=False),
        RemoveAddr(address_ids=(0,)),
        RemoveAddr(address_ids=tuple(range(30))),
        MpPrio(backup=True),
        MpFail(dsn=keys.incoming.number(0)),
        MpFastclose(receiver_key=known),
        MpFastclose(receiver_key=1),
        MpTcprst(reason=4, transient=True),
        MpTcprst(reason=0xFF, flags=0x0E),
        UnknownOption(30, b"\x00"),
        UnknownOption(30, b"\xf0\x01\x02"),
    ]


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS.keys())
@pytest.mark.parametrize("state", STATES)
def test_options_in_every_state(script: Any, state: str, flags: int) -> None:
    """No exception, few answers, no harm to another connection, and no remaining state."""
    for number in range(len(_options(Script()))):
        payload = b"data" if number % 2 else b""
        world = script()
        other = world.subpeer(remote=Address("10.0.9.9", 9))
        key = find(other.syn(MpCapable())[0].options, MpCapable).sender_key
        other.send(ACK, MpCapable(sender_key=PEER_KEY, receiver_key=key))
        (bystander,) = world.connections
        world.connections.clear()
        peer = STATES[state](world)
        tcp = world.endpoint.tcp.connection(peer.flow)
        assert tcp is None or tcp.state.value == state.split(maxsplit=1)[0]
        assert tcp is not None or state in ("CLOSED", "LISTEN")
        option = _options(world)[number]
        peer.send(flags, option, payload=payload)
        world.wait(1)
        assert len(world.out) + len(peer.take()) < 20, option
        found = [event for event in world.tracer.events if event[0] == "fault"]
        assert not found, (option, found)
        assert not bystander.closed, option
        if tcp is not None and flags & (RST | SYN) == RST and state != "SYN-SENT":
            assert tcp.state.value == "CLOSED", option
        for connection in world.connections:
            assert isinstance(connection, MptcpConnection) or state == "LISTEN"
            connection.abort()
        bystander.abort()
        world.pump()
        world.wait(DAY)
        assert world.endpoint.connections == 0, option
        assert len(world.endpoint.tcp._connections) == 0, option
        assert world.endpoint.next_timer() is None, option
