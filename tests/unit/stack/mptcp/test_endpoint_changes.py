"""Endpoints that come and go while connections live: what ``ip mptcp endpoint`` does to Linux."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from testbed.packet.address import Address
from testbed.packet.mptcp import AddAddr, MpJoinSyn, MpPrio, RemoveAddr
from testbed.packet.options import find
from testbed.packet.segment import FIN, RST
from testbed.stack.mptcp.path_manager.base import PathEndpoint

_ANY = Address("0.0.0.0", 80)
_NONE = (PathEndpoint(host="192.0.2.1", id=9),)  # an endpoint of no use, that keeps others away


def _connected(network: Any, **options: Any) -> tuple[Any, Any]:
    world = network(2, server={"endpoints": options.pop("server", _NONE)}, **options)
    world.server.endpoint.listen(_ANY)
    connection = world.connect()
    world.client.send(connection, b"hello", close=False)
    world.run(1)
    return world, connection


def _change(host: Any, *endpoints: PathEndpoint) -> None:
    host.endpoint.paths.become(endpoints, host.network.now)


def _usable(connection: Any) -> list[str]:
    return [one.path.local_host for one in connection.subflows if one.usable]


def _ids(world: Any, kind: type) -> list[Any]:
    return [option for one in world.sent if (option := find(one.options, kind)) is not None]


def test_subflow_endpoint_opens_a_subflow_at_once(network: Any) -> None:
    world, connection = _connected(network, endpoints=_NONE)
    first, second = world.client.hosts
    world.paths[second, world.server.hosts[0]] = world.path(1)[0]
    world.paths[world.server.hosts[0], second] = world.path(1)[1]
    assert _usable(connection) == [first]
    _change(world.client, *_NONE, PathEndpoint(host=second, id=3, subflow=True, backup=True))
    world.run(1)
    assert _usable(connection) == [first, second]
    (join,) = _ids(world, MpJoinSyn)
    assert (join.address_id, join.backup) == (3, True)


def test_signal_endpoint_is_announced_at_once(network: Any) -> None:
    world, connection = _connected(network, endpoints=_NONE)
    second = world.server.hosts[1]
    _change(world.server, PathEndpoint(host=second, id=4, signal=True))
    world.run(1)
    assert [(one.address_id, one.address) for one in _ids(world, AddAddr)] == [(4, second)] * 2
    assert len(_usable(connection)) == 2


@pytest.mark.requirement("RFC 8684", "3.4.2-MAY-1", "3.4.2-SHOULD-5")
def test_removed_endpoint_is_withdrawn_and_its_subflow_ends(network: Any) -> None:
    world, connection = _connected(network, endpoints=_NONE)
    (peer,) = world.server.connections
    first, second = world.client.hosts
    here = PathEndpoint(host=second, id=2, subflow=True)
    world.paths[second, world.server.hosts[0]] = world.path(1)[0]
    world.paths[world.server.hosts[0], second] = world.path(1)[1]
    _change(world.client, here)
    world.run(1)
    assert _usable(connection) == [first, second]
    _change(world.client)
    world.run(5)
    assert _usable(connection) == [first]
    assert [one.address_ids for one in _ids(world, RemoveAddr)] == [(2,)]
    assert len([one for one in peer.subflows if one.usable]) == 1
    _change(world.client, here)
    world.run(1)
    assert _usable(connection) == [first, second]


@pytest.mark.requirement("RFC 8684", "3.4.2-MUST-2")
@pytest.mark.parametrize("state", ["quiet", "sending", "opening"])
def test_subflow_of_a_removed_endpoint_ends_by_fin(network: Any, state: str) -> None:
    """One that works, that is; where the handshake is not over, there is no other way than RST."""
    world, connection = _connected(network, endpoints=_NONE)
    first, second = world.client.hosts
    world.paths[second, world.server.hosts[0]] = world.path(1)[0]
    world.paths[world.server.hosts[0], second] = world.path(1)[1]
    _change(world.client, PathEndpoint(host=second, id=2, subflow=True))
    world.run(0 if state == "opening" else 1)
    world.client.send(connection, bytes(200_000 if state == "sending" else 1), close=False)
    world.run(0)
    _change(world.client)
    world.run(5)
    assert _usable(connection) == [first]
    ends = [one.flags for one in world.sent if one.flags & (RST | FIN)]
    assert [bool(flags & RST) for flags in ends] == ([True] if state == "opening" else 2 * [False])
    assert connection.unsent == 0


def test_removed_endpoint_of_the_first_subflow_is_that_of_id_0(network: Any) -> None:
    endpoints = tuple(PathEndpoint(host=f"10.0.{n}.1", id=n, subflow=True) for n in (1, 2))
    world, connection = _connected(network, endpoints=endpoints)
    world.paths["10.0.2.1", "10.0.1.2"] = world.path(1)[0]
    world.paths["10.0.1.2", "10.0.2.1"] = world.path(1)[1]
    world.run(5)
    assert _usable(connection) == ["10.0.1.1", "10.0.2.1"]
    _change(world.client, endpoints[1])
    world.client.send(connection, bytes(50_000), close=False)
    world.run(5)
    assert _usable(connection) == ["10.0.2.1"]
    assert [one.address_ids for one in _ids(world, RemoveAddr)] == [(0,)]
    assert connection.unsent == 0


def test_connections_made_later_have_what_there_is_then(network: Any) -> None:
    world, _ = _connected(network, endpoints=_NONE)
    _change(world.server, PathEndpoint(host=world.server.hosts[1], id=4, signal=True))
    later = world.connect()
    world.client.send(later, b"hello", close=False)
    world.run(1)
    assert len(_usable(later)) == 2


def test_endpoint_that_becomes_a_backup_is_left_for_last(network: Any) -> None:
    world, connection = _connected(network, endpoints=_NONE)
    world.paths["10.0.2.1", "10.0.1.2"] = world.path(1)[0]
    world.paths["10.0.1.2", "10.0.2.1"] = world.path(1)[1]
    one = PathEndpoint(host="10.0.2.1", id=3, subflow=True)
    _change(world.client, *_NONE, one)
    world.run(1)
    (peer,) = world.server.connections
    for backup in (True, False):
        _change(world.client, *_NONE, msgspec.structs.replace(one, backup=backup))
        world.run(1)
        assert len(_usable(connection)) == 2
        assert [s.backup for s in connection.subflows if s.path.local_id == 3] == [backup]
        assert [s.backup for s in peer.subflows if s.path.remote_id == 3] == [backup]
    assert [option.backup for option in _ids(world, MpPrio)] == [True, False]


@pytest.mark.requirement("RFC 8684", "3.4.1-MUST-6", "3.4.1-MUST-7")
def test_id_that_gets_another_address_is_withdrawn_first(network: Any) -> None:
    """RFC 8684, section 3.4.1: an id that is announced again has the same address."""
    world, _ = _connected(network, endpoints=_NONE)
    first, second = world.server.hosts
    world.server.hosts.append("10.0.9.9")
    _change(world.server, PathEndpoint(host=second, id=4, signal=True))
    world.run(1)
    _change(world.server, PathEndpoint(host="10.0.9.9", id=4, signal=True))
    world.run(1)
    signals = [
        option
        for one in world.sent
        if one.source.host == first
        for option in one.options
        if isinstance(option, RemoveAddr) or (isinstance(option, AddAddr) and option.hmac)
    ]
    announced, withdrawn, again = signals
    assert isinstance(withdrawn, RemoveAddr)
    assert withdrawn.address_ids == (4,)
    assert (announced.address_id, announced.address) == (4, second)
    assert (again.address_id, again.address) == (4, "10.0.9.9")
