"""Endpoints, addresses and subflows that a program changes while connections live."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.packet.address import Address, Flow
from testbed.packet.mptcp import AddAddr, MpJoinSyn, MpPrio, RemoveAddr
from testbed.packet.options import find
from testbed.packet.segment import ACK, FIN
from testbed.sockinfo import decode_mptcp_info
from testbed.stack.mptcp.path_manager.base import (
    Announce,
    CloseSubflow,
    Command,
    OpenSubflow,
    PathEndpoint,
    PathError,
    PathLimits,
    RemoteAddress,
    SetBackup,
    Withdraw,
)

A1, A2 = "10.0.1.1", "10.0.2.1"
B1, B2 = Address("10.0.1.2", 80), Address("10.0.2.2", 80)
_NONE = (PathEndpoint(host="192.0.2.1", id=9),)  # an endpoint of no use, that keeps others away
NOWHERE = Flow(Address(A1, 1), B1)


def connected(network: Any, **options: Any) -> Any:
    """Two hosts with a way between any two of their addresses, and one subflow."""
    world = network(2, endpoints=_NONE, **options)
    for here, there in ((A1, B2.host), (A2, B1.host)):
        world.paths[here, there] = world.path(0)[0]
        world.paths[there, here] = world.path(0)[1]
    world.server.endpoint.listen(Address("0.0.0.0", 80))
    connection = world.connect()
    world.client.send(connection, b"hello", close=False)
    world.run(1)
    return world, connection


def do(world: Any, connection: Any, *commands: Command, at: str = "client") -> None:
    """Carry out commands, and let a second pass."""
    for command in commands:
        getattr(world, at).endpoint.paths.execute(connection.keys.token, command, world.now)
    world.run(1)


def usable(connection: Any) -> list[tuple[str, Address]]:
    return [(one.path.local_host, one.path.remote) for one in connection.subflows if one.usable]


def sent(world: Any, kind: type) -> list[Any]:
    return [option for one in world.sent if (option := find(one.options, kind)) is not None]


def opened(local: str, number: int, remote: Address, remote_id: int = 0) -> OpenSubflow:
    return OpenSubflow(
        local_host=local, local_id=number, remote=RemoteAddress(remote_id, remote), backup=False
    )


def test_subflows_are_opened_and_closed(network: Any) -> None:
    world, connection = connected(network)
    (peer,) = world.server.connections
    do(world, connection, opened(A2, 2, B1))
    assert usable(connection) == [(A1, B1), (A2, B1)]
    world.client.send(connection, bytes(200_000), close=False)
    do(world, connection, CloseSubflow(flow=connection.subflows[0].path.flow))
    assert usable(connection) == [(A2, B1)]
    assert len([one for one in peer.subflows if one.usable]) == 1
    assert len(world.server.received[peer]) == 200_005
    assert not sent(world, RemoveAddr)  # the address is still there


def test_closed_subflow_leaves_its_place_at_once(network: Any) -> None:
    """Its FIN is still on its way when the next one is opened."""
    world, connection = connected(
        network, limits=PathLimits(subflows=1), server={"limits": PathLimits(subflows=2)}
    )
    paths = world.client.endpoint.paths
    paths.add(PathEndpoint(host=A2, id=3, subflow=True), world.now)
    world.run(1)
    assert usable(connection) == [(A1, B1), (A2, B1)]
    paths.delete(3, world.now)
    paths.add(PathEndpoint(host=A2, id=4, subflow=True), world.now)
    world.run(5)
    assert usable(connection) == [(A1, B1), (A2, B1)]
    assert connection.subflows[-1].path.local_id == 4


def test_closed_subflow_goes_though_the_peer_does_not_close_it(script: Any) -> None:
    """As in Linux after a minute (tcp_fin_timeout); data that comes until then is accepted."""
    world = script()
    first = world.open()
    peer = world.joined()
    command = CloseSubflow(flow=peer.flow)
    world.endpoint.paths.execute(world.connection.keys.token, command, world.now)
    world.pump()
    assert any(one.flags & FIN for one in peer.take())
    peer.send(ACK, world.data(0, 5, 1), payload=b"hello")
    assert world.connection.read(9) == b"hello"
    world.wait(61)
    assert [one.path.flow for one in world.connection.subflows] == [first.flow]
    assert not world.connection.closed


def test_further_subflows_between_the_same_addresses(network: Any) -> None:
    world, connection = connected(network)
    do(world, connection, opened(A1, 0, B1), opened(A1, 0, B1))
    assert usable(connection) == 3 * [(A1, B1)]
    assert len({one.path.local_port for one in connection.subflows}) == 3


def test_subflow_waits_for_a_dss(script: Any) -> None:
    """Section 3.1: there is no join before a DSS has come."""
    world = script()
    peer = world.open()
    command = opened("10.0.2.1", 2, Address("10.0.2.2", 4001))
    world.endpoint.paths.execute(world.connection.keys.token, command, world.now)
    world.pump()
    assert [find(one.options, MpJoinSyn) for one in world.out] == []
    peer.send(ACK, world.ack())
    assert [find(one.options, MpJoinSyn).address_id for one in world.out] == [2]


def test_address_is_announced_and_withdrawn_with_its_subflows(network: Any) -> None:
    world, connection = connected(network)
    (peer,) = world.server.connections
    do(world, peer, Announce(id=4, host=B2.host), at="server")
    assert [(one.address_id, one.address) for one in sent(world, AddAddr)] == 2 * [(4, B2.host)]
    assert usable(connection)[1:] == [(A2, B2)]
    do(world, peer, Withdraw(id=4), at="server")
    assert [one.address_ids for one in sent(world, RemoveAddr)] == [(4,)]
    assert len(usable(connection)) == 1


def test_priority_of_a_subflow(network: Any) -> None:
    world, connection = connected(network)
    first = connection.subflows[0].path.flow
    for backup in (True, False):
        do(world, connection, SetBackup(flow=first, backup=backup))
        assert connection.info()["subflows"][0]["backup"] is backup
    assert [one.backup for one in sent(world, MpPrio)] == [True, False]


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (opened(A2, 2, Address("fd00::1", 80)), "same family"),
        (opened("10.9.9.9", 2, B1), "10.9.9.9 is not an address of this host"),
        (opened(A2, 9, B1), "9 cannot be the id of 10.0.2.1"),
        (opened(A2, 256, B1), "256 cannot be the id"),
        (CloseSubflow(flow=NOWHERE), "no subflow 10.0.1.1:1 -> 10.0.1.2:80"),
        (SetBackup(flow=NOWHERE, backup=True), "no subflow"),
        (Announce(id=0, host=A2), "id 0"),
        (Announce(id=9, host=A2), "9 cannot be the id"),
        (Withdraw(id=7), "no address has the id 7"),
    ],
)
def test_what_cannot_be_done_is_refused(network: Any, command: Command, why: str) -> None:
    world, connection = connected(network)
    world.sent.clear()
    with pytest.raises(PathError, match=why):
        do(world, connection, command)
    world.run(1)
    assert not world.sent


def test_connection_that_has_ended_takes_no_commands(network: Any) -> None:
    world, connection = connected(network)
    connection.abort()
    world.run(1)
    with pytest.raises(PathError, match="no connection has the token"):
        do(world, connection, Withdraw(id=0))


def test_endpoint_is_added_changed_and_deleted(network: Any) -> None:
    world, connection = connected(network)
    paths = world.client.endpoint.paths
    paths.add(PathEndpoint(host=A2, id=3, subflow=True), world.now)
    world.run(1)
    assert usable(connection) == [(A1, B1), (A2, B1)]
    paths.change(3, world.now, backup=True)
    world.run(1)
    assert paths.endpoints == (*_NONE, PathEndpoint(host=A2, id=3, subflow=True, backup=True))
    assert [one.backup for one in sent(world, MpPrio)] == [True]
    paths.delete(3, world.now)
    world.run(1)
    assert usable(connection) == [(A1, B1)]
    assert paths.endpoints == _NONE


def test_endpoint_that_becomes_a_full_mesh_opens_the_others(network: Any) -> None:
    """As in Linux: its subflows make room for those of the mesh, and the address stays."""
    world, connection = connected(network)
    (peer,) = world.server.connections
    do(world, peer, Announce(id=4, host=B2.host), at="server")
    do(world, connection, CloseSubflow(flow=connection.subflows[1].path.flow))
    paths = world.client.endpoint.paths
    paths.add(PathEndpoint(host=A2, id=3, subflow=True), world.now)
    world.run(1)
    assert usable(connection) == [(A1, B1), (A2, B1)]
    paths.change(3, world.now, fullmesh=True)
    world.run(1)
    assert usable(connection) == [(A1, B1), (A2, B1), (A2, B2)]
    assert not sent(world, RemoveAddr)


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        (PathEndpoint(host=A2, id=0), "from 1 to 255"),
        (PathEndpoint(host=A2, id=9), "192.0.2.1 with the id 9 already"),
        (PathEndpoint(host="192.0.2.1", id=3), "192.0.2.1 with the id 9 already"),
        (PathEndpoint(host=A2, id=3, subflow=True, port=81), "signal and not subflow"),
        (PathEndpoint(host=A2, id=3, signal=True, fullmesh=True), "both signal and fullmesh"),
    ],
)
def test_endpoint_that_cannot_be(network: Any, endpoint: PathEndpoint, why: str) -> None:
    world, _ = connected(network)
    paths = world.client.endpoint.paths
    with pytest.raises(PathError, match=why):
        paths.add(endpoint, world.now)
    for change in (paths.delete, paths.change):
        with pytest.raises(PathError, match="no endpoint has the id 77"):
            change(77, world.now)
    assert paths.endpoints == _NONE


def test_info_counts_addresses_and_limits(network: Any) -> None:
    """MPTCP_INFO has the kernel's names."""
    world, connection = connected(network)
    (peer,) = world.server.connections
    do(world, peer, Announce(id=4, host=B2.host), at="server")
    do(world, connection, opened(A2, 1, B1))
    here, there = connection.info()["info"], peer.info()["info"]
    ours = {"remote_token", "bytes_out_of_order"}
    assert set(here) - ours <= set(decode_mptcp_info(bytes(512)))
    assert (there["add_addr_signal"], here["add_addr_accepted"]) == (1, 1)
    assert (here["local_addr_used"], here["subflows"], here["subflows_total"]) == (1, 2, 3)
    assert (here["subflows_max"], here["add_addr_accepted_max"]) == (8, 8)
    assert (here["flags"], here["retransmits"]) == (2, 0)  # MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED
    do(world, peer, Withdraw(id=4), at="server")
    assert peer.info()["info"]["add_addr_signal"] == 0
    assert connection.info()["info"]["add_addr_accepted"] == 0
    paths = world.client.endpoint.paths
    paths.add(PathEndpoint(host=A2, id=2, subflow=True), world.now)
    assert connection.info()["info"]["local_addr_max"] == 1
