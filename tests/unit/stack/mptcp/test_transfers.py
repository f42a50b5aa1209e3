"""Whole connections between two of our endpoints."""

from __future__ import annotations

import random
from typing import Any

import pytest

from testbed.stack.packet.address import Address

S = 1_000_000_000
DATA = random.Random(7).randbytes(2_000_000)


def transfer(net: Any, *, up: bytes = DATA, down: bytes = DATA[::-1], seconds: float = 60) -> Any:
    """Send both ways at once, and check what arrived."""
    net.server.endpoint.listen(_any(net))
    connection = net.connect()
    net.client.connections.append(connection)
    net.client.send(connection, up)
    accepted: list[Any] = []

    def done() -> bool:
        if net.server.connections and not accepted:
            accepted.append(net.server.connections[0])
            net.server.send(accepted[0], down)
        return bool(accepted) and connection.closed and accepted[0].closed

    net.run(seconds, done)
    assert accepted, "nobody connected"
    assert bytes(net.server.received[accepted[0]]) == up
    assert bytes(net.client.received[connection]) == down
    assert net.client.failure(connection) == ""
    assert net.server.failure(accepted[0]) == ""
    return connection


def _any(net: Any) -> Any:
    return Address("::" if ":" in net.client.hosts[0] else "0.0.0.0", 80)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("paths", [1, 2, 4])
def test_transfer_both_ways(network: Any, paths: int, family: int) -> None:
    net = network(paths, family=family)
    transfer(net)
    assert net.client.tracer.count("sub_established") == paths - 1
    assert net.server.tracer.count("sub_established") == paths - 1


@pytest.mark.parametrize("scheduler", ["minrtt", "roundrobin"])
@pytest.mark.parametrize("manager", ["kernel_like", "fullmesh"])
def test_transfer_under_loss(network: Any, manager: str, scheduler: str) -> None:
    net = network(2, path_manager=manager, scheduler=scheduler)
    for number in (0, 1):
        for path in net.path(number):
            path.loss = 0.02
    transfer(net)
