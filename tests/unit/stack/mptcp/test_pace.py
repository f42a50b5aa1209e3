"""How long the data of a subflow will take."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.packet.address import Address

MS = 1_000_000


@pytest.fixture
def one_path(network: Any) -> Any:
    """A path of 20 Mbit/s with 20 ms, whose queue holds 200 ms, and a server that listens."""
    net = network(1)
    net.server.endpoint.listen(Address("0.0.0.0", 80))
    return net


def _opened(net: Any) -> Any:
    connection = net.connect()
    net.client.connections.append(connection)
    net.run(1, lambda: connection.subflows[0].smoothed_rtt_ns is not None)
    return connection


def test_a_subflow_expects_to_wait_behind_the_data_of_another_connection(one_path: Any) -> None:
    """The first data of a burst waits for no data of its own, but longer than 20 ms."""
    other, connection = _opened(one_path), _opened(one_path)
    one_path.client.send(other, bytes(8_000_000))
    one_path.run(1)
    for _ in range(10):
        one_path.client.send(connection, bytes(20_000), close=False)
        one_path.run(0.15)
    subflow = connection.subflows[0]
    assert subflow.smoothed_rtt_ns > 40 * MS
    assert subflow.in_flight == 0
    assert subflow.expected_ns() > 27 * MS


def test_a_subflow_does_not_expect_to_wait_for_data_of_its_own_that_is_delivered(
    one_path: Any,
) -> None:
    connection = _opened(one_path)
    one_path.client.send(connection, bytes(1_500_000), close=False)
    one_path.run(3)
    subflow = connection.subflows[0]
    assert subflow.smoothed_rtt_ns > 30 * MS
    assert subflow.in_flight == 0
    assert 20 * MS <= subflow.expected_ns() < 25 * MS


def test_a_subflow_does_not_take_its_own_bursts_for_the_data_of_others(one_path: Any) -> None:
    """The last segment of a burst waits 12 ms for the others, two segments hardly wait."""
    connection = _opened(one_path)
    for octets in (30_000, 30_000, 30_000, 30_000, 2_840):
        one_path.client.send(connection, bytes(octets), close=False)
        one_path.run(0.15)
    assert 20 * MS <= connection.subflows[0].expected_ns() < 22 * MS


def test_what_does_not_fit_into_the_window_waits_for_an_acknowledgment(one_path: Any) -> None:
    """A burst of a whole window comes back after 20 ms; what follows takes 20 ms more."""
    connection = _opened(one_path)
    subflow = connection.subflows[0]
    one_path.client.send(connection, bytes(subflow.cwnd), close=False)
    one_path.run(0.001)
    assert subflow.in_flight == subflow.cwnd
    assert subflow.expected_ns() < 25 * MS
    assert subflow.expected_ns(1000) >= 40 * MS
    one_path.run(1)
    assert subflow.expected_ns(1000) < 25 * MS


def test_a_full_window_opens_soon_where_acknowledgments_arrive_evenly(one_path: Any) -> None:
    connection = _opened(one_path)
    one_path.client.send(connection, bytes(1_500_000), close=False)
    one_path.run(0.4)
    subflow = connection.subflows[0]
    assert subflow.in_flight + subflow.segment_size > subflow.cwnd
    assert subflow.expected_ns(1500) < 1.1 * subflow.smoothed_rtt_ns
