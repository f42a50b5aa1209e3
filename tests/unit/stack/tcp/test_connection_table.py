"""The table of connections: each key finds its connections, and forgets those that are removed."""

from __future__ import annotations

from testbed.packet.address import Address, Flow
from testbed.stack.tcp.connection_table import ConnectionTable

from .script import FLOW, Script


def flows(count: int) -> list[Flow]:
    """Return flows between two hosts, from the same local port."""
    return [Flow(FLOW.local, Address("10.0.9.9", 1000 + number)) for number in range(count)]


def test_a_path_has_the_connections_between_two_hosts() -> None:
    """A report of a path's MTU must not cost time for each connection of the endpoint."""
    script, table = Script(), ConnectionTable()
    connections = [script.endpoint.connect(flow, script.now) for flow in (FLOW, *flows(3))]
    for one in connections:
        table.add(one)
    assert len(table) == 4
    assert list(table.of_path(flows(1)[0])) == connections[1:]
    assert list(table.of_path(FLOW)) == connections[:1]
    assert not table.of_path(Flow(FLOW.remote, FLOW.local))


def test_removed_connections_leave_nothing() -> None:
    script, table = Script(), ConnectionTable()
    first, second = (script.endpoint.connect(flow, script.now) for flow in flows(2))
    table.add(first)
    table.add(second)
    assert table.remove(first)
    assert not table.remove(first)
    assert list(table) == [second]
    assert list(table.of_path(second.flow)) == [second]
    assert table.uses(FLOW.local.port)
    assert table.remove(second)
    assert not table.uses(FLOW.local.port)
    assert not table.of_path(second.flow)
    assert not table.flows
    assert not table._paths
