"""Many connections in one endpoint."""

from __future__ import annotations

import tracemalloc

import pytest

from testbed.packet.address import Address, Flow
from testbed.packet.segment import SYN, Segment
from testbed.sockinfo import decode_tcp_info
from testbed.stack.connection import Connected
from testbed.stack.tcp import endpoint as endpoints
from testbed.stack.tcp.config import TcpConfig

from .network import SECOND, Network
from .riding import RIDING
from .script import HERE, Script, bare

CONNECTIONS = 60


def flows() -> list[Flow]:
    server = Address("10.0.0.2", 80)
    return [Flow(Address("10.0.0.1", 1000 + n), server) for n in range(CONNECTIONS)]


@pytest.mark.requirement("RFC 9293", "MUST-45")
def test_each_connection_gets_its_own() -> None:
    network = Network()
    network.server.listen(Address("0.0.0.0", 80))
    clients = [network.client.connect(flow, network.now) for flow in flows()]
    network.run_for(SECOND)
    for number, client in enumerate(clients):
        client.send(f"I am {number}".encode())
    network.run_for(SECOND)
    servers = [
        connection
        for connection, event in network.events[network.server]
        if isinstance(event, Connected)
    ]
    assert len(servers) == CONNECTIONS
    for server in servers:
        expected = f"I am {server.flow.remote.port - 1000}".encode()
        assert server.read(100) == expected


def test_an_idle_connection_takes_little_memory() -> None:
    network = Network()
    network.server.listen(Address("0.0.0.0", 80))
    tracemalloc.start()
    clients = [network.client.connect(flow, network.now) for flow in flows()]
    network.transcript.clear()
    network.run_for(SECOND)
    network.transcript.clear()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert all(not client.closed for client in clients)
    assert size / CONNECTIONS / 2 < 30 * 1024


def test_timers_of_idle_connections_are_not_looked_at() -> None:
    """Due timers expire in order, and a moved deadline expires at its new time."""
    network = Network(TcpConfig(keepalive=True, keepalive_idle_ns=10 * SECOND))
    network.server.listen(Address("0.0.0.0", 80))
    clients = []
    for flow in flows()[:5]:
        clients.append(network.client.connect(flow, network.now))
        network.run_for(SECOND)
    timer = network.client.next_timer()
    assert timer is not None
    assert timer > network.now
    clients[0].abort()
    network.flush()
    later = network.client.next_timer()
    assert later is not None
    assert later > timer


def test_timers_that_move_leave_nothing_behind() -> None:
    """A far deadline (keep-alive) and near ones, set and reached again and again."""
    network = Network(TcpConfig(keepalive=True))
    client, server = network.connect()

    def talk(times: int) -> None:
        for _ in range(times):
            client.send(b"x")
            network.run_for(SECOND)
            server.read(10)
            network.transcript.clear()
            network.events[network.server].clear()
            RIDING.transcript.clear()

    talk(100)
    tracemalloc.start()
    talk(300)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 8 * 1024


def test_info_has_the_kernels_names() -> None:
    network = Network()
    client, server = network.connect()
    client.send(bytes(100_000))
    network.run_for(SECOND)
    info = client.info()
    ours = {"idle_restarts"}
    assert set(info) - ours <= set(decode_tcp_info(bytes(1024)))
    assert all(type(value) is int for value in info.values())
    assert info["state"] == 1  # TCP_ESTABLISHED
    assert info["bytes_acked"] == server.info()["bytes_received"] == 100_000
    assert info["options"] & 7 == 7
    assert info["min_rtt"] == 20_000
    assert info["rcv_mss"] >= 536
    assert info["snd_mss"] == 1448
    assert info["pmtu"] == 1500


def test_nothing_is_left_of_connections_that_ended() -> None:
    network = Network()
    network.server.listen(Address("0.0.0.0", 80))
    for flow in flows():
        network.client.connect(flow, network.now)
    network.run_for(SECOND)
    for flow in flows():
        for endpoint, there in ((network.client, flow), (network.server, Flow(*flow[::-1]))):
            connection = endpoint.connection(there)
            assert connection is not None
            connection.close()
    network.run_for(200 * SECOND)
    assert network.client.next_timer() is None
    assert network.server.next_timer() is None
    assert all(network.client.connection(flow) is None for flow in flows())


@pytest.mark.interpreted
def test_connections_in_time_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No program can limit them.  The oldest end early."""
    monkeypatch.setattr(endpoints, "MOST_TIME_WAIT", 10)
    network = Network()
    network.server.listen(Address("0.0.0.0", 80))
    clients = []
    for flow in flows():
        clients.append(network.client.connect(flow, network.now))
        network.run_for(SECOND)
        clients[-1].close()
        network.run_for(SECOND // 10)
        server = network.server.connection(Flow(*flow[::-1]))
        assert server is not None
        server.close()
        network.run_for(SECOND // 10)
        left = [one for one in clients if network.client.connection(one.flow) is not None]
        assert left == clients[-10:]
    assert all(one.failure is None for one in clients)


@pytest.mark.interpreted
def test_connections_that_enter_time_wait_together_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each ends another one, although none of these is forgotten before all have entered."""
    monkeypatch.setattr(endpoints, "MOST_TIME_WAIT", 10)
    network = Network()
    network.server.listen(Address("0.0.0.0", 80))
    for some in (flows()[:20], flows()[20:40]):
        clients = [network.client.connect(flow, network.now) for flow in some]
        network.run_for(SECOND)
        for client in clients:
            client.close()
        network.run_for(SECOND // 10)
        for client in clients:
            server = network.server.connection(Flow(*client.flow[::-1]))
            assert server is not None
            server.close()
        network.run_for(SECOND // 10)
        left = [one for one in clients if network.client.connection(one.flow) is not None]
        assert left == clients[-10:]
        assert len(network.client.flows) == 10
    assert network.client.counters["TcpExtTCPTimeWaitOverflow"] == 30


def test_a_port_is_free_again_whatever_came_between() -> None:
    """A connection that ended, and a new one of the same flow before anything was sent."""
    script = Script()
    script.connect().abort()
    script.open()
    script.out()
    assert script.endpoint.uses(HERE.port)
    script.connection.abort()
    script.out()
    assert not script.endpoint.uses(HERE.port)


@pytest.mark.requirement("RFC 9293", "MUST-43")
def test_a_listener_on_one_address_comes_before_one_on_any() -> None:
    script = Script(bare(syn_cookies=False))
    script.endpoint.listen(Address("0.0.0.0", HERE.port), backlog=0)
    script.listen()
    assert script.inject("S", 0) == ["S. 0:0 1"]


@pytest.mark.requirement("RFC 9293", "MUST-46", "MUST-63", "MUST-57")
@pytest.mark.parametrize("host", ["0.0.0.0", "239.1.2.3", "255.255.255.255", "::", "ff02::1"])
def test_many_hosts_are_no_peer(host: str) -> None:
    """RFC 9293, MUST-46, MUST-57 and MUST-63: not to connect to, not to answer, not to be."""
    script = Script()
    family = "fd00::1" if ":" in host else "10.0.0.1"
    with pytest.raises(OSError, match="is not a unicast address"):
        script.endpoint.connect(Flow(Address(family, 1), Address(host, 80)), script.now)
    script.endpoint.listen(Address("::" if ":" in host else "0.0.0.0", 80))
    for port in (80, 81):  # an open and a closed port
        for source, destination in ((host, family), (family, host)):
            syn = Segment(source=Address(source, 7), destination=Address(destination, port), seq=1,
                          flags=SYN, window=1000)  # fmt: skip
            script.endpoint.receive(syn, script.now)
            assert list(script.endpoint.segments_to_send(script.now)) == []
