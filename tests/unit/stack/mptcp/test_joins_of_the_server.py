"""Joins that the side opens which has accepted the connection (RFC 8684, section 3.2)."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.packet.address import Address
from testbed.packet.mptcp import MpJoinAck, MpJoinSyn, MpTcprst
from testbed.packet.options import find
from testbed.packet.segment import ACK, RST, SYN, Segment
from testbed.stack.mptcp.path_manager.base import PathEndpoint

from .network import MS, Network, Path

ANY = Address("0.0.0.0", 80)
THIRD = "10.0.9.2"  # an address of the server that it never announces
SUBFLOW = (PathEndpoint(host=THIRD, id=7, subflow=True),)


def _network(network: Any, client: str, **options: Any) -> Network:
    """Return a network whose server has an address more, and joins from there.

    :param client: its path manager.
    """
    server = {"path_manager": "kernel_like", "endpoints": SUBFLOW}
    net: Network = network(1, server=server, path_manager=client, **options)
    net.server.hosts.append(THIRD)
    for pair in ((THIRD, net.client.hosts[0]), (net.client.hosts[0], THIRD)):
        net.paths[pair] = Path(10 * MS, 20_000_000, 0.0)
    net.server.endpoint.listen(ANY)
    return net


def _to_the_client(net: Network, option: type) -> list[Segment]:
    """Return the segments of the server with an option."""
    return [one for one in net.sent if one.source.host == THIRD and find(one.options, option)]


def _exchange(net: Network, octets: int) -> tuple[Any, Any]:
    """Send so many octets each way; return both ends of the connection."""
    connection = net.connect()
    net.client.send(connection, bytes(octets), close=False)
    net.run(600, until=lambda: bool(net.server.connections))
    (accepted,) = net.server.connections
    net.server.send(accepted, bytes(octets), close=False)
    net.run(600)
    assert len(net.server.received[accepted]) == octets
    assert len(net.client.received[connection]) == octets
    return connection, accepted


@pytest.mark.parametrize("checksum", [False, True])
def test_client_that_takes_joins_everywhere(network: Any, checksum: bool) -> None:
    """``fullmesh``: it comes to the client's port, and carries data both ways."""
    net = _network(network, "fullmesh", checksum=checksum)
    connection, accepted = _exchange(net, 500_000)
    (syn,) = _to_the_client(net, MpJoinSyn)
    assert syn.flags == SYN
    assert syn.destination == connection.flow.local
    for end in (connection, accepted):
        assert [one.confirmed for one in end.subflows] == [True, True]
        assert all(one.tcp.info()["bytes_acked"] > 50_000 for one in end.subflows)


@pytest.mark.parametrize("seed", range(4))
def test_join_over_paths_that_lose(network: Any, seed: int) -> None:
    """The third ACK is the server's, and so is its repetition."""
    net = _network(network, "fullmesh", seed=seed)
    for path in net.paths.values():
        path.loss = 0.15
    connection, accepted = _exchange(net, 100_000)
    assert len(_to_the_client(net, MpJoinAck)) >= 1
    for end in (connection, accepted):
        assert [one.confirmed for one in end.subflows] == [True, True]


def test_client_that_takes_them_on_open_ports(network: Any) -> None:
    """``kernel_like``, as Linux: its port is not open; the server does not repeat the join."""
    net = _network(network, "kernel_like")
    connection, accepted = _exchange(net, 100_000)
    net.server.endpoint.carrier_returned(net.server.hosts[0], net.now)
    net.run(600)
    assert len(_to_the_client(net, MpJoinSyn)) == 1
    resets = [one for one in net.sent if one.destination.host == THIRD]
    assert [one.flags for one in resets] == [RST | ACK]
    assert find(resets[0].options, MpTcprst) is None
    for end in (connection, accepted):
        assert len(end.subflows) == 1
        assert not end.closed
