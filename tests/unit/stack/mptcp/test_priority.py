"""MP_PRIO: which subflow is a backup may change (RFC 8684, section 3.3.8)."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.packet.address import Address, Flow
from testbed.packet.mptcp import MpFail, MpPrio
from testbed.packet.options import find
from testbed.packet.segment import ACK
from testbed.stack.mptcp.path_manager.base import PathError, SetBackup


def priorities(segments: Any) -> list[bool]:
    return [found.backup for one in segments if (found := find(one.options, MpPrio)) is not None]


def set_backup(world: Any, number: int, *, backup: bool) -> None:
    connection = world.connection
    flow = connection.subflows[number].path.flow
    command = SetBackup(flow=flow, backup=backup)
    world.endpoint.paths.execute(connection.keys.token, command, world.now)


def two_subflows(world: Any) -> Any:
    first = world.open()
    second = world.joined()
    return first, second


@pytest.mark.parametrize("number", [0, 1])
def test_request_goes_on_its_subflow(script: Any, number: int) -> None:
    """Section 3.3.8: on the subflow it is about, once, on an ACK; then data takes the other."""
    world = script()
    peers = two_subflows(world)
    set_backup(world, number, backup=True)
    world.pump()
    (ack,) = peers[number].take()
    assert (ack.flags, ack.payload) == (ACK, b"")
    assert priorities([ack]) == [True]
    assert find(ack.options, MpPrio).encode() == bytes.fromhex("1e0351")
    assert peers[not number].take() == []
    world.write(b"data")
    assert [one.payload for one in peers[not number].take()] == [b"data"]
    assert world.connection.info()["subflows"][number]["backup"]


def test_request_is_taken_back(script: Any) -> None:
    world = script()
    _, second = two_subflows(world)
    for backup in (True, False):
        set_backup(world, 1, backup=backup)
        world.pump()
        assert priorities(second.take()) == [backup]
    assert not world.connection.info()["subflows"][1]["backup"]


@pytest.mark.requirement("RFC 8684", "3.3.8-SHOULD-1")
def test_either_side_may_ask(script: Any) -> None:
    """The peer's request concerns its own direction, and does not cancel ours."""
    world = script()
    _, second = two_subflows(world)
    set_backup(world, 1, backup=True)
    second.send(ACK, world.ack(), MpPrio(backup=True))
    assert world.tracer.count("sub_priority") == 1
    second.send(ACK, world.ack(), MpPrio(backup=False))
    assert world.connection.info()["subflows"][1]["backup"]
    set_backup(world, 1, backup=False)
    assert not world.connection.info()["subflows"][1]["backup"]


@pytest.mark.requirement("RFC 8684", "3.3.8-SHOULD-NOT-1")
def test_only_subflow_is_used_although_it_is_a_backup(script: Any) -> None:
    world = script()
    peer = world.open()
    set_backup(world, 0, backup=True)
    world.write(b"data")
    assert b"data" in [one.payload for one in peer.take()]


def test_there_must_be_such_a_subflow(script: Any) -> None:
    world = script()
    peer = world.open()
    token, first = world.connection.keys.token, world.connection.subflows[0].path.flow
    gone = SetBackup(flow=Flow(first.local, Address("10.9.9.9", 80)), backup=True)
    with pytest.raises(PathError, match="no subflow"):
        world.endpoint.paths.execute(token, gone, world.now)
    with pytest.raises(PathError, match="no connection has the token 7"):
        world.endpoint.paths.execute(7, gone, world.now)
    peer.send(ACK, MpFail(dsn=world.keys.incoming.number(0)))
    with pytest.raises(PathError, match="plain TCP"):
        set_backup(world, 0, backup=True)


@pytest.mark.requirement("RFC 8684", "3.3.8-SHOULD-1")
def test_peer_sends_on_the_other_path(network: Any) -> None:
    """From end to end: after the request only data in flight arrives on a backup."""
    net = network(2)
    net.server.endpoint.listen(Address("0.0.0.0", 80))
    connection = net.connect()
    net.client.connections.append(connection)
    net.run(1, lambda: net.client.tracer.count("sub_established") == 1)
    _, second = [one.path.flow for one in connection.subflows if one.usable]
    command = SetBackup(flow=second, backup=True)
    net.client.endpoint.paths.execute(connection.keys.token, command, net.now)
    net.run(1, lambda: net.server.tracer.count("sub_priority") == 1)
    net.sent.clear()
    accepted = net.server.connections[0]
    net.server.send(accepted, bytes(500_000))
    net.client.send(connection, bytes(10))
    net.run(30, lambda: connection.closed and accepted.closed)
    assert connection.closed
    assert len(net.client.received[connection]) == 500_000
    carried = {one.source.host for one in net.sent if one.payload}
    assert net.server.hosts[1] not in carried
    assert net.client.hosts[1] not in carried
