"""MP_FASTCLOSE on an ACK: option A of RFC 8684, section 3.5, by hand and over paths that lose."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.packet.address import Address
from testbed.packet.mptcp import Dss, MpFastclose, MpTcprst, ResetReason
from testbed.packet.options import find
from testbed.packet.segment import ACK, RST
from testbed.stack.connection import Closed
from testbed.stack.mptcp.state import DataState

from .script import LOCAL, PEER_KEY, Script

ANY = Address("0.0.0.0", 80)
KEY = MpFastclose(receiver_key=PEER_KEY)


def _aborted(script: Any) -> tuple[Script, Any]:
    """Return a connection that was open and is aborted by an ACK."""
    world = script(fastclose_by_ack=True)
    peer = world.open()
    peer.send(ACK, world.ack())
    world.connection.abort()
    world.pump()
    return world, peer


def test_fastclose_goes_on_an_ack(script: Any) -> None:
    """Option A: an ACK with the peer's key; the application gets the event at once."""
    world, peer = _aborted(script)
    (ack,) = peer.take()
    assert ack.flags == ACK
    assert find(ack.options, MpFastclose) == KEY
    assert world.connection.state is DataState.FASTCLOSE_WAIT
    assert world.connection.closed
    assert sum(isinstance(event, Closed) for event in world.events) == 1


def test_rst_ends_the_wait(script: Any) -> None:
    """From FASTCLOSE_WAIT to CLOSED; the token is free then, and no event repeats."""
    world, peer = _aborted(script)
    peer.take()
    assert world.endpoint.connections == 1
    assert peer.send(RST | ACK) == []
    assert world.connection.state is DataState.CLOSED
    assert world.endpoint.connections == 0
    assert world.endpoint.next_timer() is None
    assert sum(isinstance(event, Closed) for event in world.events) == 1


def test_address_that_is_removed_meanwhile(script: Any) -> None:
    """The RST says what the ACK has said: the peer may not have got it."""
    world, peer = _aborted(script)
    peer.take()
    world.endpoint.address_removed(LOCAL.host, world.now)
    world.pump()
    (reset,) = peer.take()
    assert reset.flags & RST
    assert find(reset.options, MpFastclose) == KEY
    assert world.endpoint.connections == 0


def test_other_subflows_end_with_rst(script: Any) -> None:
    """Option A: one subflow has the ACK, all others a regular RST."""
    world = script(fastclose_by_ack=True)
    peers = [world.open(), world.joined()]
    world.connection.abort()
    world.pump()
    said = [segment for peer in peers for segment in peer.take()]
    asked = [one for one in said if find(one.options, MpFastclose)]
    resets = [one for one in said if one.flags & RST]
    assert len(asked) == len(resets) == 1
    assert asked[0] is not resets[0]


@pytest.mark.requirement(
    "RFC 8684", "3.5-SHOULD-1", "3.5-SHOULD-2", "3.5-RECOMMENDED-1", "3.5-SHOULD-3"
)
def test_it_is_sent_again_three_times_and_then_on_rst(script: Any) -> None:
    """After an RTO without RST; at the end a RST clears what is left on the way."""
    world, peer = _aborted(script)
    rto = world.connection.subflows[0].tcp.rto_ns
    peer.take()
    world.wait(rto / 1e9 - 0.01)
    assert peer.take() == []
    for number in range(3):
        world.wait((rto << number) / 1e9)
        (again,) = peer.take()
        assert again.flags == ACK
        assert find(again.options, MpFastclose) == KEY
    world.wait(60)
    (last,) = peer.take()
    assert last.flags & RST
    assert find(last.options, MpFastclose) == KEY
    assert world.connection.state is DataState.CLOSED
    assert world.endpoint.connections == 0


def test_both_close_fast_at_the_same_time(script: Any) -> None:
    """MP_FASTCLOSE in answer to ours: RST, without another key, and the end."""
    world, peer = _aborted(script)
    peer.take()
    (answer,) = peer.send(ACK, MpFastclose(receiver_key=world.keys.remote))
    assert answer.flags & RST
    assert find(answer.options, MpFastclose) is None
    assert world.connection.state is DataState.CLOSED


def test_no_data_leaves_after_it(script: Any) -> None:
    """Written data is discarded: neither waiting nor lost data is sent."""
    world = script(fastclose_by_ack=True)
    peer = world.open(window=2000)
    world.write(bytes(20_000))
    assert peer.take()
    world.connection.abort()
    world.pump()
    (ack,) = peer.take()
    assert find(ack.options, MpFastclose) == KEY
    peer.window = 0xFFFF
    assert peer.send(ACK, world.ack(1000), ack=1001) == []
    world.wait(2)
    assert not [one for one in peer.take() if one.payload]


def test_data_that_comes_after_it_is_dropped(script: Any) -> None:
    """The stack accepts and keeps no more data, and the wait ends."""
    world, peer = _aborted(script)
    peer.take()
    for number in range(100):
        peer.send(ACK, world.data(1000 * number, 1000, 1 + 1000 * number), payload=bytes(1000))
    assert world.connection.subflows[0].tcp.readable == 0
    peer.send(RST | ACK)
    assert world.endpoint.connections == 0


@pytest.mark.parametrize("more", [0, 1])
def test_ack_with_fastclose_is_answered_by_rst_everywhere(script: Any, more: int) -> None:
    """Host B: a TCP RST on the same subflow, and on all others."""
    world = script()
    peers = [world.open(), world.joined()]
    answers = peers[more].send(ACK, MpFastclose(receiver_key=world.keys.remote))
    answers += peers[1 - more].take()
    assert [one.flags & RST for one in answers] == [RST, RST]
    reason = MpTcprst(reason=ResetReason.UNSPECIFIED)
    assert [find(one.options, MpTcprst) for one in answers] == [reason, reason]
    assert world.endpoint.connections == 0


@pytest.mark.parametrize(("key", "seq"), [(1, None), (None, 1)])
def test_fastclose_that_proves_nothing_has_no_effect(
    script: Any, key: int | None, seq: int | None
) -> None:
    """Another key, or a sequence number from before: the connection goes on."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(0, 5, 1), payload=b"hello")
    option = MpFastclose(receiver_key=key or world.keys.remote)
    assert not [one for one in peer.send(ACK, option, seq=seq) if one.flags & RST]
    assert not world.connection.closed
    peer.send(ACK, world.data(5, 5, 6), payload=b"world")
    assert world.connection.read(100) == b"helloworld"


def test_abort_before_the_key_is_confirmed_goes_on_rst(script: Any) -> None:
    """No ACK can carry MP_FASTCLOSE while MP_CAPABLE is repeated."""
    world = script(fastclose_by_ack=True)
    peer, _ = world.accept()
    world.connection.abort()
    world.pump()
    (reset,) = peer.take()
    assert reset.flags & RST
    assert find(reset.options, MpFastclose) == KEY


def test_abort_of_plain_tcp_is_plain(script: Any) -> None:
    world = script(fastclose_by_ack=True)
    peer = world.subpeer()
    peer.syn()
    peer.send(ACK)
    world.connections[0].abort()
    world.pump()
    assert peer.take()[-1].flags & RST


@pytest.mark.parametrize("seed", range(4))
def test_it_arrives_over_paths_that_lose(network: Any, seed: int) -> None:
    """In the middle of a transfer, with a quarter of the packets lost both ways.

    It is sent five times: one transfer in a thousand would lose all of them.
    """
    net = network(2, seed=seed, fastclose_by_ack=True)
    net.server.endpoint.listen(ANY)
    connection = net.connect()
    net.client.send(connection, bytes(400_000))
    net.run(10, until=lambda: len(net.server.received) and len(connection.subflows) == 2)
    for path in net.paths.values():
        path.loss = 0.25
    net.run(0.1)
    connection.abort()
    net.run(300)
    (accepted,) = net.server.connections
    assert net.server.failure(accepted)
    assert net.client.endpoint.connections == net.server.endpoint.connections == 0
    asked = [one for one in net.sent if find(one.options, MpFastclose)]
    assert asked
    assert all(find(one.options, Dss) for one in asked if not one.flags & RST)


@pytest.mark.requirement("RFC 8684", "3.5-SHOULD-2")
def test_unreachable_peer_is_given_up(network: Any) -> None:
    """No state remains, although the peer does not answer."""
    net = network(1, fastclose_by_ack=True)
    net.server.endpoint.listen(ANY)
    connection = net.connect()
    net.client.send(connection, bytes(10_000), close=False)
    net.run(2)
    assert connection.unsent == 0
    for path in net.paths.values():
        path.up = False
    connection.abort()
    net.run(5)  # 15 RTO of 220 ms at most
    assert net.client.endpoint.connections == 0
    assert net.client.endpoint.next_timer() is None
