"""Options of a connection of MPTCP reach its subflows, those to come too (net/mptcp/sockopt.c)."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.packet.address import Address, Flow
from testbed.packet.mptcp import MpCapable, MpFastclose, MpJoinSyn
from testbed.packet.options import MaximumSegmentSize, find
from testbed.packet.segment import ACK, HOP_LIMIT
from testbed.stack.connection import Delivered
from testbed.stack.mptcp.path_manager.base import PathEndpoint
from testbed.stack.options import SocketOptions

from .script import LOCAL, LOCAL_2, PEER_KEY, REMOTE, REMOTE_2

ANY = Address("0.0.0.0", 80)
ALIVE = SocketOptions(
    keepalive=True, keepalive_idle_ns=5_000_000_000, traffic_class=0x20, congestion="reno"
)
LATER = SocketOptions(keepalive_idle_ns=7_000_000_000, traffic_class=0x40, user_timeout_ns=9)


def connect(world: Any, options: SocketOptions, served: SocketOptions) -> Any:
    world.server.endpoint.listen(ANY, options=served)
    flow = Flow(Address(world.client.hosts[0], 40_000), Address(world.server.hosts[0], 80))
    connection = world.client.endpoint.connect(flow, world.now, options=options)
    world.client.send(connection, b"hello", close=False)
    world.run(1)
    (peer,) = world.server.connections
    return connection, peer


def usable(connection: Any) -> list[Any]:
    return [one.tcp for one in connection.subflows if one.usable]


def test_all_subflows_have_them_from_the_beginning(network: Any) -> None:
    world = network(2)
    connection, peer = connect(world, ALIVE, SocketOptions(traffic_class=0x60))
    assert len(usable(connection)) == len(usable(peer)) == 2
    for tcp in usable(connection):
        assert tcp.config.keepalive
        assert tcp.config.keepalive_idle_ns == 5_000_000_000
        assert type(tcp.congestion).__name__ == "Reno"
    assert {tcp.config.traffic_class for tcp in usable(peer)} == {0x60}
    classes = {one.source.host: one.traffic_class for one in world.sent}
    assert classes == {"10.0.1.1": 0x20, "10.0.2.1": 0x20, "10.0.1.2": 0x60, "10.0.2.2": 0x60}


def test_hop_limit_is_of_all_subflows(network: Any) -> None:
    """As in Linux; its tests are scripts of packetdrill."""
    world = network(2)
    connection, _ = connect(world, SocketOptions(hop_limit=9), SocketOptions())
    assert {one.hop_limit for one in world.sent} == {9, HOP_LIMIT}
    connection.set_options(SocketOptions(hop_limit=7))
    assert {tcp.config.hop_limit for tcp in usable(connection)} == {7}


def test_later_ones_reach_subflows_that_are_there_and_that_come(network: Any) -> None:
    world = network(2, server={"endpoints": (PathEndpoint(host="192.0.2.1", id=9),)})
    connection, peer = connect(world, SocketOptions(), SocketOptions())
    assert len(usable(peer)) == 1
    for one in (connection, peer):
        one.set_options(LATER)
    world.server.endpoint.paths.add(PathEndpoint(host="10.0.2.2", id=3, signal=True), world.now)
    world.run(1)
    for end in (connection, peer):
        assert [tcp.config.traffic_class for tcp in usable(end)] == [0x40, 0x40]
        assert {tcp.config.keepalive_idle_ns for tcp in usable(end)} == {7_000_000_000}
        assert {tcp.config.user_timeout_ns for tcp in usable(end)} == {0}  # the connection's
        assert end.config.tcp.user_timeout_ns == 9


def test_buffers_are_of_the_connection(network: Any) -> None:
    world = network(1)
    connection, peer = connect(world, SocketOptions(send_buffer=1000), SocketOptions())
    world.client.reads = False
    assert connection.send(bytes(5000)) == 1000
    connection.set_options(SocketOptions(send_buffer=3000))
    assert connection.send(bytes(5000)) == 2000
    before, capacity = peer.incoming.edge, peer.incoming.capacity
    peer.set_options(SocketOptions(receive_buffer=capacity + 100_000))
    assert peer.incoming.edge == before + 100_000


def test_close_may_reset_the_connection(network: Any) -> None:
    world = network(1)
    connection, peer = connect(world, SocketOptions(linger=True), SocketOptions())
    connection.close()
    world.run(1)
    assert any(find(one.options, MpFastclose) for one in world.sent)
    assert peer.closed


def test_close_does_not_reset_a_connection_that_both_sides_have_closed(network: Any) -> None:
    world = network(1)
    connection, peer = connect(world, SocketOptions(linger=True), SocketOptions())
    peer.shutdown()
    world.run(1)
    connection.shutdown()
    connection.close()
    world.run(1)
    assert not any(find(one.options, MpFastclose) for one in world.sent)
    assert peer.closed
    assert connection.closed


def test_mss_is_of_each_subflow(network: Any) -> None:
    """It is offered by each of this side, and no segment of either side is larger."""
    world = network(2)
    connection, _ = connect(world, SocketOptions(mss=600), SocketOptions())
    world.client.send(connection, bytes(20_000), close=False)
    world.run(1)
    offered = [find(one.options, MaximumSegmentSize) for one in world.sent]
    hosts = set(world.client.hosts)
    there = zip(offered, world.sent, strict=True)
    mine = [option.mss for option, one in there if option is not None and one.source.host in hosts]
    assert set(mine) == {600}
    assert len({one.source for one in world.sent if one.payload}) == 2
    assert max(len(one.payload) for one in world.sent) == 600 - 12 - 28


def test_a_record_ends_its_mapping(script: Any) -> None:
    """MSG_EOR: octets of two records share no mapping, not even when they are sent again."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.ack())
    for data, eor in ((bytes(1500), True), (b"a" * 20, False), (b"b" * 30, True), (b"c", False)):
        world.connection.send(data, eor=eor)
    world.pump()
    lengths = [1432, 68, 50, 1]
    assert [len(one.payload) for one in peer.take()] == lengths
    peer.send(ACK, world.ack(1432))
    stream = world.connection.outgoing
    stream.mark(1432, 1551)  # as if another subflow had carried it
    assert [stream.piece(at)[0] for at in (1432, 1500, 1550)] == [1500, 1550, 1551]
    assert [stream.record_end(at) for at in (1432, 1499, 1500, 1550)] == [1500, 1500, 1550, 1551]


def test_close_may_linger(network: Any) -> None:
    world = network(1)
    lingering = SocketOptions(linger=True, linger_ns=1)
    connection, peer = connect(world, lingering, SocketOptions())
    connection.close()
    assert not connection.delivered
    world.run(1)
    assert connection.delivered
    assert not peer.closed
    assert (connection, Delivered()) in world.client.events


def test_cork_holds_less_than_a_segment_back(script: Any) -> None:
    """Until there is a segment, the cork is taken off, or nothing more is written."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.ack())
    world.connection.set_options(SocketOptions(cork=True))
    world.write(bytes(100))
    assert peer.take() == []
    world.write(bytes(1500))
    assert [len(one.payload) for one in peer.take()] == [1432]
    peer.send(ACK, world.ack(1432))
    world.connection.set_options(SocketOptions(cork=False))
    world.pump()
    assert [len(one.payload) for one in peer.take()] == [168]
    peer.send(ACK, world.ack(1600))
    world.connection.set_options(SocketOptions(cork=True))
    world.write(b"last")
    world.connection.shutdown()
    world.pump()
    assert [one.payload for one in peer.take() if one.payload] == [b"last"]


def test_nodelay_pushes_what_a_cork_holds_back(script: Any) -> None:
    """As in Linux: what is written later waits again."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.ack())
    world.connection.set_options(SocketOptions(cork=True))
    world.write(bytes(40))
    world.write(bytes(40))
    assert peer.take() == []
    world.connection.set_options(SocketOptions(nodelay=True))
    world.pump()
    assert [len(one.payload) for one in peer.take()] == [80]
    peer.send(ACK, world.ack(80))
    world.write(b"more")
    assert peer.take() == []


def test_cork_holds_for_a_retransmission_timeout_at_most(script: Any) -> None:
    """If nothing is in flight, the waiting data leave after that time, as in Linux."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.ack())
    world.connection.set_options(SocketOptions(cork=True))
    for number, data in enumerate([b"first", b"other"]):
        rto = world.connection.subflows[0].tcp.rto_ns / 1e9
        world.write(data)
        world.wait(0.9 * rto)
        assert not [one for one in peer.take() if one.payload]
        world.wait(0.2 * rto)
        assert data in [one.payload for one in peer.take()]
        peer.send(ACK, world.ack(5 * (number + 1)))


@pytest.mark.parametrize("options", [SocketOptions(advertised_timeout_ns=500)])
def test_what_is_no_option_of_mptcp(network: Any, options: SocketOptions) -> None:
    world = network(1)
    connection, _ = connect(world, SocketOptions(), SocketOptions())
    flow = Flow(Address(world.client.hosts[0], 40_001), connection.flow.remote)
    with pytest.raises(ValueError, match=r"not an option of MPTCP|cannot be changed"):
        connection.set_options(options)
    with pytest.raises(ValueError, match="not an option of MPTCP"):
        world.client.endpoint.connect(flow, world.now, options=options)
    with pytest.raises(ValueError, match="not an option of MPTCP"):
        world.server.endpoint.listen(Address("0.0.0.0", 81), options=options)
    assert world.client.endpoint.connections == 1


def test_subflow_that_falls_back_has_them_too(network: Any) -> None:
    """A port takes plain TCP as well."""
    world = network(1)
    world.server.endpoint.listen(ANY, options=SocketOptions(user_timeout_ns=10**9))
    flow = Flow(Address("10.0.1.1", 40_000), Address("10.0.1.2", 80))
    world.client.endpoint.tcp.connect(flow, world.now)
    world.run(1)
    (peer,) = world.server.connections
    assert peer.config.user_timeout_ns == 10**9


def test_joins_take_no_place_in_the_accept_queue(network: Any) -> None:
    world = network(2)
    world.server.endpoint.listen(ANY, accept_queue=0)
    first = world.connect()
    world.client.send(first, b"hello", close=False)
    world.run(1)
    (peer,) = world.server.connections
    assert len(usable(peer)) == 1  # as in Linux a full queue keeps joins out, too
    world.server.endpoint.accepted(peer)
    second = world.connect()
    world.client.send(second, b"hello", close=False)
    world.run(1)
    assert len(world.server.connections) == 2


def test_joins_have_those_of_their_connection_not_of_the_port(script: Any) -> None:
    world = script()
    world.endpoint.listen(LOCAL_2, options=SocketOptions(traffic_class=0x20, congestion="bbr"))
    flow = Flow(Address(LOCAL.host, 4000), Address(REMOTE.host, 80))
    options = SocketOptions(traffic_class=0x40, congestion="reno")
    world.connections.append(world.endpoint.connect(flow, world.now, options=options))
    world.pump()
    first = world.subpeer(*flow)
    (third, *_) = first.syn_ack(MpCapable(sender_key=PEER_KEY))
    world.keys.learn(find(third.options, MpCapable).sender_key)
    first.send(ACK, world.ack())
    world.join(world.subpeer(LOCAL_2, REMOTE_2))
    tcps = usable(world.connection)
    assert [tcp.config.traffic_class for tcp in tcps] == [0x40] * 2
    assert [type(tcp.congestion).__name__ for tcp in tcps] == ["Reno"] * 2


def test_later_ones_reach_joins_that_are_half_open(script: Any) -> None:
    world = script()
    world.open()
    peer = world.subpeer(LOCAL_2, REMOTE_2)
    syn = MpJoinSyn(address_id=2, token=world.keys.remote_token, nonce=77)
    (answer,) = peer.syn(syn)
    world.connection.set_options(LATER)
    world.join_ack(peer, answer, nonce=77)
    assert [tcp.config.traffic_class for tcp in usable(world.connection)] == [0x40, 0x40]
