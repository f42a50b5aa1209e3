"""The user timeout and the limit of unsent data are the connection's, not a subflow's."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.packet.address import Address
from testbed.packet.mptcp import MpFastclose
from testbed.packet.options import find
from testbed.packet.segment import RST
from testbed.stack.tcp.config import TcpConfig

S = 1_000_000_000
_ANY = Address("0.0.0.0", 80)


def _connected(network: Any, paths: int, **tcp: Any) -> tuple[Any, Any]:
    world = network(paths, tcp=TcpConfig(user_timeout_ns=10 * S, **tcp))
    world.server.endpoint.listen(_ANY)
    connection = world.connect()
    world.client.send(connection, b"hello", close=False)
    world.run(8)
    assert len([one for one in connection.subflows if one.usable]) == paths
    return world, connection


def test_data_without_data_ack_ends_the_connection(network: Any) -> None:
    world, connection = _connected(network, 2)
    for number in (0, 1):
        for path in world.path(number):
            path.up = False
    world.client.send(connection, b"data", close=False)
    world.run(9.9)
    assert not connection.closed
    world.run(0.2)
    assert "user timeout" in str(connection.failure)
    reset = world.sent[-1]
    assert reset.flags & RST
    assert find(reset.options, MpFastclose) is not None


def test_path_that_is_down_does_not_end_while_another_works(network: Any) -> None:
    world, connection = _connected(network, 2)
    for path in world.path(1):
        path.up = False
    for _ in range(30):
        world.client.send(connection, bytes(20_000), close=False)
        world.run(1)
    assert not connection.closed
    assert len([one for one in connection.subflows if one.usable]) == 2
    assert connection.unsent == 0


def test_connection_without_subflows_is_given_up_in_time(network: Any) -> None:
    world, connection = _connected(network, 1)
    world.client.send(connection, b"data", close=False)
    host = world.client.hosts.pop()
    world.client.endpoint.address_removed(host, world.now)
    world.run(9.9)
    assert not connection.closed
    world.run(0.2)
    assert "user timeout" in str(connection.failure)


@pytest.mark.parametrize("silent", [False, True])
def test_keep_alives_without_an_answer_end_the_connection(network: Any, silent: bool) -> None:
    options = {"keepalive_idle_ns": 2 * S, "keepalive_interval_ns": S, "keepalive_probes": 100}
    world, connection = _connected(network, 2, keepalive=True, **options)
    for number in (0, 1) if silent else (0,):
        for path in world.path(number):
            path.up = False
    world.run(7)
    assert not connection.closed
    world.run(60)
    assert connection.closed == silent
    if silent:
        assert "keep-alive" in str(connection.failure)


def test_attempt_is_given_up_in_time(network: Any) -> None:
    world = network(1, tcp=TcpConfig(user_timeout_ns=3 * S))
    for path in world.path(0):
        path.up = False
    connection = world.connect()
    world.run(3.1)
    assert connection.closed


def test_idle_connection_lives_on(network: Any) -> None:
    world, connection = _connected(network, 2)
    world.run(1000)
    assert not connection.closed
    assert world.client.endpoint.next_timer() is None


def test_writer_is_held_back_by_what_was_not_sent(network: Any) -> None:
    data = bytes(range(256)) * 8_000
    times = []
    for lowat in (0, 16_384):
        world = network(2, tcp=TcpConfig(notsent_lowat=lowat))
        world.server.endpoint.listen(_ANY)
        connection = world.connect()
        world.client.send(connection, data)
        unsent = [0]

        def done(outgoing: Any = connection.outgoing, unsent: list[int] = unsent) -> bool:
            unsent.append(outgoing.end - outgoing.next)
            return bool(outgoing.una == len(data))

        world.run(30, done)
        (other,) = world.server.connections
        assert world.server.received[other] == data
        assert (max(unsent) < 16_384 + 1460) == bool(lowat)
        times.append(world.now)
    assert times[1] < 1.05 * times[0]
