"""A flood of SYNs: what must be known of a connection comes back with the third ACK (RFC 4987)."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.packet.address import Address
from testbed.packet.mptcp import (
    Dss,
    MpCapable,
    MpJoinSyn,
    MptcpOption,
    MpTcprst,
)
from testbed.packet.options import find
from testbed.packet.segment import ACK, RST, Segment
from testbed.stack.connection import Connected
from testbed.stack.mptcp import crypto
from testbed.stack.tcp.connection import TcpConnection

from .script import PEER_KEY, REMOTE

PORT = 4321


def flooded(script: Any, **options: Any) -> tuple[Any, Any]:
    """Return a world whose port has its backlog full, and a peer that is about to connect."""
    world = script(**options)
    local = Address(world.hosts[0], PORT)
    world.endpoint.listen(local, backlog=1)
    stranger = world.subpeer(local, Address(REMOTE.host, 666))
    stranger.syn(MpCapable())
    return world, world.subpeer(local, REMOTE)


def third(answer: Segment) -> MpCapable:
    """Return the option of the third ACK."""
    option = find(answer.options, MpCapable)
    return MpCapable(flags=option.flags, sender_key=PEER_KEY, receiver_key=option.sender_key)


def test_the_connection_is_that_of_the_keys(script: Any) -> None:
    world, peer = flooded(script)
    known = world.endpoint.connections
    (answer,) = peer.syn(MpCapable())
    assert world.endpoint.connections == known
    option = third(answer)
    peer.send(ACK, option)
    assert world.endpoint.connections == known + 1
    assert any(isinstance(event, Connected) for event in world.events)
    world.keys.learn(option.receiver_key)
    local, remote = world.keys.pair()
    assert (world.connection.keys.remote, world.connection.keys.local) == (local, remote)
    world.write(b"hello")
    (data,) = peer.take()
    assert data.payload == b"hello"
    assert find(data.options, Dss) is not None


def test_checksums_are_agreed_on_as_before(script: Any) -> None:
    world, peer = flooded(script, checksum=True)
    (answer,) = peer.syn(MpCapable())
    peer.send(ACK, third(answer))
    assert world.connection.keys.checksum


def test_without_the_option_it_is_plain_tcp(script: Any) -> None:
    world, peer = flooded(script)
    peer.syn(MpCapable())
    peer.send(ACK, payload=b"plain")
    (connection,) = world.connections
    assert connection.read(100) == b"plain"


@pytest.mark.requirement("RFC 8684", "3.1-MUST-NOT-3")
def test_a_syn_without_the_option_gets_an_answer_without(script: Any) -> None:
    _, peer = flooded(script)
    (answer,) = peer.syn()
    assert find(answer.options, MpCapable) is None


def test_a_key_that_is_not_ours_means_plain_tcp(script: Any) -> None:
    """Section 3.1: a peer cannot choose our key, even one that is in use."""
    world, peer = flooded(script)
    first = world.open()
    (answer,) = peer.syn(MpCapable())
    stolen = MpCapable(
        flags=third(answer).flags, sender_key=PEER_KEY, receiver_key=world.connection.keys.local
    )
    peer.send(ACK, stolen, payload=b"plain")
    _, plain = world.connections
    assert isinstance(plain, TcpConnection)
    assert plain.read(100) == b"plain"
    assert world.endpoint.connections == 2  # the stranger's and the first peer's
    assert first.take() == []


@pytest.mark.requirement("RFC 8684", "3.1-SHOULD-3", "3.1-MUST-4")
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.interpreted
def test_a_token_that_is_in_use(script: Any, monkeypatch: pytest.MonkeyPatch, late: bool) -> None:
    """Section 3.1: the key follows from the SYN, so there is no other: it is plain TCP, or none."""
    world, peer = flooded(script)
    key = 0x1234
    monkeypatch.setattr(crypto, "stateless_key", lambda *_: key)
    if late:
        (answer,) = peer.syn(MpCapable())
    monkeypatch.setattr(world.endpoint._tokens._rng, "getrandbits", lambda _: key)
    world.open()
    if not late:
        (answer,) = peer.syn(MpCapable())
        assert find(answer.options, MpCapable) is None
        return
    (refusal,) = peer.send(ACK, third(answer))
    assert refusal.flags & RST
    assert find(refusal.options, MpTcprst) is not None


@pytest.mark.requirement("RFC 8684", "3.1-MUST-2")
def test_keys_differ_and_come_again(script: Any) -> None:
    """Section 3.1: they are made of a secret, both ends and the SYN's sequence number."""
    world, peer = flooded(script)
    (answer,) = peer.syn(MpCapable())
    (again,) = peer.syn(MpCapable())
    peer.isn += 1
    (other,) = peer.syn(MpCapable())
    peer.send(RST)
    elsewhere = world.subpeer(peer.flow.local, Address(REMOTE.host, 667))
    elsewhere.isn = peer.isn
    (third_one,) = elsewhere.syn(MpCapable())
    keys = [find(one.options, MpCapable).sender_key for one in (answer, again, other, third_one)]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_a_segment_after_a_lost_third_ack_is_refused(script: Any) -> None:
    """Its sender believes in MPTCP, and nothing tells the keys."""
    world, peer = flooded(script)
    peer.syn(MpCapable())
    (refusal,) = peer.send(ACK, Dss(data_ack=1))
    assert refusal.flags & RST
    assert world.connections == []


def test_a_join_waits_for_a_place(script: Any) -> None:
    world, peer = flooded(script)
    world.open()
    token = world.keys.remote_token
    assert peer.syn(MpJoinSyn(address_id=2, token=token, nonce=1)) == []


@pytest.mark.parametrize("join_first", [True, False])
def test_syn_of_a_new_connection_and_of_a_join_gets_plain_tcp(
    script: Any, join_first: bool
) -> None:
    """As without a flood: RFC 8684 defines no such SYN."""
    _, peer = flooded(script)
    options = [MpCapable(), MpJoinSyn(address_id=2, token=1, nonce=1)]
    (answer,) = peer.syn(*options[:: -1 if join_first else 1])
    assert find(answer.options, MptcpOption) is None
