"""A connection that has ended leaves nothing to the garbage collector: it is no cycle."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from testbed.packet.address import Address
from testbed.packet.mptcp import AddAddr, MpCapable
from testbed.packet.segment import ACK, RST, Segment
from testbed.stack.mptcp.connection import MptcpConnection

from .network import Network

DATA = bytes(200_000)


def garbage(scene: Callable[[], object]) -> Counter[str]:
    """Return the objects of the stack that only the garbage collector frees after a scene."""
    gc.collect()
    gc.disable()
    try:
        scene()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found = [type(one) for one in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    return Counter(one.__name__ for one in found if one.__module__.startswith("testbed.stack"))


@pytest.fixture
def ended(network: Any) -> Callable[..., Counter[str]]:
    """Return what becomes of connections that end in some way."""

    def of(end: Callable[[Network, MptcpConnection], object], **options: Any) -> Counter[str]:
        net = network(2, **options)
        net.server.endpoint.listen(Address("0.0.0.0", 80))

        def scene() -> None:
            connection = net.connect()
            net.client.connections.append(connection)
            net.client.send(connection, DATA, close=False)
            net.run(5)
            end(net, connection)
            net.run(300)
            assert connection.closed
            for host in (net.client, net.server):
                assert not host.endpoint.flows
                for kept in (host.connections, host.events, host.received, host.to_send):
                    kept.clear()

        return garbage(scene)

    return of


def without_mptcp(segment: Segment) -> tuple[Segment, ...]:
    """Drop SYNs with an option of MPTCP."""
    return () if any(isinstance(one, MpCapable) for one in segment.options) else (segment,)


def close(net: Network, connection: MptcpConnection) -> None:
    """Close both ends in order."""
    connection.close()
    net.run(1)
    for one in net.server.connections:
        one.close()


def test_orderly_close(ended: Any) -> None:
    assert not ended(close)


def test_abort(ended: Any) -> None:
    assert not ended(lambda net, connection: connection.abort())


def test_time_out(ended: Any) -> None:
    def cut(net: Network, connection: MptcpConnection) -> None:
        for number in (0, 1):
            for path in net.path(number):
                path.up = False
        connection.send(b"into the dark")
        net.server.connections[-1].abort()
        net.run(4000)
        for number in (0, 1):
            for path in net.path(number):
                path.up = True

    assert not ended(cut)


def test_fallback(network: Any) -> None:
    net = network(1)
    net.path(0)[0].filter = without_mptcp
    net.server.endpoint.listen(Address("0.0.0.0", 80))

    def scene() -> None:
        connection = net.connect()
        net.run(20)
        assert connection.fallback
        close(net, connection)
        net.run(300)
        assert not net.client.endpoint.flows
        for host in (net.client, net.server):
            for kept in (host.connections, host.events, host.received):
                kept.clear()

    assert not garbage(scene)


@pytest.mark.parametrize("option", [None, AddAddr(address_id=3, address="10.0.3.2", hmac=bytes(8))])
def test_refused_connections(script: Any, option: Any) -> None:
    world = script()

    def scene() -> None:
        for _ in range(5):
            peer = world.subpeer()
            peer.syn(MpCapable())
            peer.send(RST, *([option] if option else []))

    assert not garbage(scene)
    assert world.endpoint.connections == 0


def test_closed_port(script: Any) -> None:
    world = script()

    def scene() -> None:
        peer = world.dial()
        peer.take()
        peer.send(RST | ACK, seq=0)
        world.connections.clear()
        world.events.clear()

    assert not garbage(scene)
