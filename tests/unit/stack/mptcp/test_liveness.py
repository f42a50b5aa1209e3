"""Nothing waits for ever (RFC 8684): each pending action has a timer, and each timer ends."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from testbed.packet.address import Address
from testbed.packet.mptcp import Dss, MpCapable, MpFastclose
from testbed.packet.options import SackPermitted, find
from testbed.packet.segment import ACK, RST, SYN, Segment
from testbed.stack.connection import Closed
from testbed.stack.mptcp.state import DataState
from testbed.stack.mptcp.subflow import DSS_ROOM

from .script import LOCAL_2, PEER_KEY, REMOTE_2, S


@pytest.mark.parametrize("subflows", [1, 2])
def test_lost_window_update_is_found_by_probing(script: Any, subflows: int) -> None:
    """Section 3.3.4: the window was closed, and the ACK that opened it again got lost."""
    world = script()
    peer = world.open(window=40 * (1460 - DSS_ROOM))  # whole segments, so that they close it
    peers = [peer]
    if subflows == 2:
        peers.append(world.subpeer(LOCAL_2, REMOTE_2))
        world.join(peers[1])
    edge = world.connection.outgoing.edge
    world.write(bytes(edge + 5000))
    got = 0
    for _ in range(50):
        for each in peers:
            got += sum(len(one.payload) for one in each.take())
            each.window = edge - got
            got += sum(len(one.payload) for one in each.send(ACK, world.ack(got)))
    assert got == edge
    world.wait(20)
    probed = [each for each in peers if each.take()]
    assert probed
    for each in probed:
        each.window = 0xFFFF
        each.send(ACK, world.ack(got))
    world.wait(1)
    assert world.connection.outgoing.next == edge + 5000


def test_closed_window_is_probed_after_the_rto(script: Any) -> None:
    """RFC 9293, SHOULD-29: of the shared window as of TCP's, which then holds the octet back."""
    world = script()
    peer = world.open(window=4)
    world.write(b"fits")
    peer.take()
    peer.window = 0
    peer.send(ACK, world.ack(4))
    world.write(b"does not")
    rto = world.connection.subflows[0].tcp.rto_ns
    world.wait(1.9 * rto / S)
    assert not peer.take()
    world.wait(0.2 * rto / S)
    (probe,) = peer.take()
    assert peer.relative(probe) == 4


@pytest.mark.requirement("RFC 8684", "4-SHOULD-1")
def test_data_behind_the_closed_window_of_one_subflow_goes_on_another(script: Any) -> None:
    """Section 3.3.5: the path may have closed it, as the peer's window is the largest of all."""
    world = script()
    first = world.open()
    first.send(ACK, world.ack())
    first.window = 0
    first.send(ACK, world.ack())
    world.write(b"data")
    world.wait(1)
    for probe in first.take():
        assert not probe.payload
        first.send(ACK, world.ack())
    second = world.joined()
    world.wait(5)
    assert b"data" in [one.payload for one in second.take()]
    second.send(ACK, world.ack(4))
    assert world.connection.unsent == 0


def test_peer_may_keep_its_window_closed(script: Any) -> None:
    """RFC 9293, section 3.8.6.1: as long as it answers, and somebody waits for it."""
    world = script()
    peer = world.open()
    peer.window = 0
    peer.send(ACK, world.ack())
    world.write(b"data")
    probes = 0
    for _ in range(400):
        world.wait(10)
        if segments := peer.take():
            probes += len(segments)
            peer.send(ACK, world.ack(0))
    assert not world.connection.closed
    assert 10 < probes < 400
    world.connection.close()
    for _ in range(100):
        world.wait(10)
        if peer.take():
            peer.send(ACK, world.ack(0))
    assert world.connection.closed
    assert "timed out" in str(world.connection.failure)


@pytest.mark.requirement("RFC 8684", "3.3.6-MUST-1")
def test_what_one_subflow_loses_goes_on_another_at_its_timeout(script: Any) -> None:
    """Section 3.3.6; TCP itself only sends a tail loss probe then (RFC 8985, section 7.2)."""
    world = script()
    peers = [world.subpeer(), world.subpeer(LOCAL_2, REMOTE_2)]
    (answer,) = peers[0].syn(SackPermitted(), MpCapable())
    key = find(answer.options, MpCapable).sender_key
    world.keys.learn(key)
    peers[0].send(ACK, MpCapable(sender_key=PEER_KEY, receiver_key=key))
    world.join(peers[1])
    world.write(b"data")
    assert [len(each.take()) for each in peers] == [1, 0]
    world.wait(0.25)
    again = [one.payload for each in peers for one in each.take()]
    assert again == [b"data", b"data"]


def test_peer_that_acknowledges_on_the_subflow_only(script: Any) -> None:
    """Section 3.3.2: data without Data ACK is sent again, at last the connection is given up."""
    world = script()
    peer = world.open()
    world.write(b"data")
    copies = 0
    for _ in range(3000):
        world.wait(1)
        segments = peer.take()
        copies += sum(one.payload == b"data" for one in segments)
        if world.connection.closed:
            break
        if segments:
            peer.send(ACK, world.ack(0))
    assert world.connection.closed
    assert "Data ACK" in str(world.connection.failure)
    assert 10 < copies < 60


def test_data_fin_without_data_ack_ends(script: Any) -> None:
    """Section 3.3.3: retransmissions of DATA_FIN end."""
    world = script()
    peer = world.open()
    world.connection.close()
    world.pump()
    world.wait(3600)
    assert world.connection.closed
    reset = peer.take()[-1]
    assert reset.flags & RST
    assert find(reset.options, MpFastclose) is not None


def test_peer_that_does_not_close_its_side(script: Any) -> None:
    """As in Linux, the wait of a connection without an application ends."""
    world = script()
    peer = world.open()
    world.connection.close()
    world.pump()
    peer.take()
    peer.send(ACK, world.ack(1))
    assert world.connection.state is DataState.FIN_WAIT_2
    world.wait(100)
    assert world.connection.closed
    assert world.endpoint.next_timer() is None


def test_half_closed_connection_lives_on(script: Any) -> None:
    """Section 3.3.3: data flows the other way as long as it likes, here and there."""
    world = script()
    peer = world.open()
    world.connection.shutdown()
    world.pump()
    peer.take()
    peer.send(ACK, world.ack(1))
    for index in range(100):
        world.wait(60)
        peer.send(ACK, world.data(index, 1, index + 1, acked=1), payload=b"x")
    assert world.connection.read(1000) == b"x" * 100
    peer.send(ACK, world.data(100, 1, 0, acked=1, data_fin=True))
    assert world.connection.closed
    assert world.connection.failure is None


def test_peers_half_close(script: Any) -> None:
    """Section 3.3.3: the same with the roles exchanged."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(0, 1, 0, data_fin=True))
    assert world.connection.at_eof
    for index in range(100):
        world.wait(60)
        world.write(b"x")
        peer.take()
        peer.send(ACK, world.ack(index + 1))
    assert world.connection.unsent == 0
    world.connection.shutdown()
    world.pump()
    assert find(peer.take()[-1].options, Dss).data_fin
    peer.send(ACK, world.ack(101))
    assert world.connection.closed


def test_close_with_unread_data(script: Any) -> None:
    """Section 3.5: the peer hears that its data is not wanted."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(0, 3, 1), payload=b"abc")
    world.connection.close()
    world.pump()
    reset = peer.take()[-1]
    assert reset.flags & RST
    assert find(reset.options, MpFastclose) is not None
    assert world.tracer.count("closed") == 1


@pytest.mark.parametrize("state", ["opening", "established", "half", "alone"])
def test_abort(script: Any, state: str) -> None:
    """Section 3.5: in every state ABORT ends the connection at once, with one event and no rest."""
    world = script()
    peer = world.dial() if state == "opening" else world.open()
    if state == "half":
        world.connection.shutdown()
        world.pump()
    if state == "alone":
        peer.send(RST | ACK)
    world.connection.abort()
    world.pump()
    assert world.connection.closed
    assert [type(one) for one in world.events].count(Closed) == 1
    assert world.tracer.count("closed") == world.tracer.count("created") == (state != "opening")
    assert world.endpoint.next_timer() is None


@pytest.mark.requirement("RFC 8684", "3.9.3-SHOULD-1")
def test_connect_to_nobody(script: Any) -> None:
    """RFC 9293, section 3.8.3: it ends, without MP_CAPABLE at last (section 3.7)."""
    world = script()
    peer = world.dial()
    world.wait(600)
    syns = peer.take()
    assert all(one.flags == SYN for one in syns)
    assert find(syns[0].options, MpCapable) is not None
    assert find(syns[-1].options, MpCapable) is None
    assert world.connection.closed
    assert "timed out" in str(world.connection.failure)
    assert world.endpoint.next_timer() is None


def test_idle_connection_has_no_timer(script: Any) -> None:
    """The idle connection costs only memory."""
    world = script()
    peer = world.open()
    world.write(b"data")
    peer.take()
    peer.send(ACK, world.ack(4))
    world.wait(5)
    assert world.endpoint.next_timer() is None


@pytest.mark.parametrize("paths", [1, 2])
def test_connection_without_a_subflow_goes_on_when_an_address_comes_back(
    network: Any, paths: int
) -> None:
    """Also from the first subflow's address, which no endpoint names."""
    net = network(paths)
    net.server.endpoint.listen(Address("0.0.0.0", 80))
    connection = net.connect()
    net.client.connections.append(connection)
    net.client.send(connection, bytes(3_000_000))
    net.run(0.5)
    hosts = list(net.client.hosts)
    for host in hosts:
        net.client.hosts.remove(host)
        net.client.endpoint.address_removed(host, net.now)
    net.run(1)
    assert not connection.subflows
    net.client.hosts.append(hosts[0])
    net.client.endpoint.address_added(hosts[0], net.now)
    net.run(30, lambda: bool(connection.failure) or connection.unsent == 0)
    assert connection.failure is None
    assert connection.unsent == 0


def test_subflows_outlive_a_carrier_and_others_carry_their_data(network: Any) -> None:
    """Losing a carrier is not losing an address."""
    net = network(2)
    net.server.endpoint.listen(Address("0.0.0.0", 80))
    connection = net.connect()
    net.client.send(connection, bytes(12_000_000))
    net.run(0.6)
    before = {one.number for one in connection.subflows if one.usable}
    assert len(before) == 2
    host = net.client.hosts[0]
    for path in net.path(0):
        path.up = False
    net.client.endpoint.carrier_lost(host, net.now)
    una, now = connection.outgoing.una, net.now
    net.run(1, lambda: connection.outgoing.una > una + 100_000)
    assert net.now - now < 200_000_000  # no timer had to expire
    for path in net.path(0):
        path.up = True
    net.run(0.3)
    net.client.endpoint.carrier_returned(host, net.now)
    first = next(one for one in connection.subflows if one.path.local_host == host)
    given = first.carried.given
    net.run(10, lambda: connection.unsent == 0)
    assert first.carried.given > given
    assert {one.number for one in connection.subflows if one.usable} == before


@pytest.mark.parametrize("paths", [1, 2])
def test_carriers_of_all_paths_may_be_lost_for_a_while(network: Any, paths: int) -> None:
    net = network(paths)
    net.server.endpoint.listen(Address("0.0.0.0", 80))
    connection = net.connect()
    net.client.send(connection, bytes(3_000_000))
    net.run(0.5)
    for number, host in enumerate(net.client.hosts):
        for path in net.path(number):
            path.up = False
        net.client.endpoint.carrier_lost(host, net.now)
        net.run(0.4)
    for number, host in enumerate(net.client.hosts):
        for path in net.path(number):
            path.up = True
        net.client.endpoint.carrier_returned(host, net.now)
        net.run(0.4)
    net.run(30, lambda: bool(connection.failure) or connection.unsent == 0)
    assert connection.failure is None
    assert connection.unsent == 0


def test_connection_without_a_subflow_goes_on_when_a_carrier_comes_back(network: Any) -> None:
    net = network(1)
    net.server.endpoint.listen(Address("0.0.0.0", 80))
    connection = net.connect()
    net.client.send(connection, bytes(3_000_000))
    net.run(0.5)
    for subflow in connection.subflows:
        subflow.tcp.abort()
    net.client.endpoint.carrier_lost(net.client.hosts[0], net.now)
    net.run(1)
    assert not connection.subflows
    net.client.endpoint.carrier_returned(net.client.hosts[0], net.now)
    net.run(30, lambda: bool(connection.failure) or connection.unsent == 0)
    assert connection.failure is None
    assert connection.unsent == 0


def test_close_before_the_peer_has_answered(script: Any) -> None:
    """RFC 9293, section 3.10.4: CLOSE in SYN-SENT ends the connection at once, even with data."""
    world = script()
    peer = world.dial()
    peer.take()
    (connection,) = world.connections
    connection.send(b"data")
    connection.close()
    world.pump()
    assert connection.closed
    assert [one for one in world.events if isinstance(one, Closed)] == [Closed(None)]
    assert world.endpoint.next_timer() is None
    assert world.endpoint.connections == 0
    world.wait(10)
    assert peer.take() == []


def test_two_ends_whose_data_acks_are_lost_do_not_answer_without_end(network: Any) -> None:
    """Section 3.3.3: both repeat DATA_FIN by their timers alone, until they give up."""
    net = network(1)
    net.server.endpoint.listen(Address("0.0.0.0", 80))
    connection = net.connect()
    net.client.send(connection, b"request", close=False)
    net.run(1)
    net.server.send(net.server.connections[0], b"answer", close=False)
    net.run(1)
    for path in net.path(0):
        path.filter = _without_data_ack
    for end in (connection, net.server.connections[0]):
        end.shutdown()
    net.run(1000, lambda: connection.closed)
    assert connection.closed
    assert len(net.sent) < 100


def _without_data_ack(segment: Segment) -> tuple[Segment, ...]:
    options = (
        msgspec.structs.replace(one, data_ack=None) if isinstance(one, Dss) else one
        for one in segment.options
    )
    return (msgspec.structs.replace(segment, options=tuple(options)),)
