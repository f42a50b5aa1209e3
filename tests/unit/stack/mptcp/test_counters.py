"""MIB counters by the kernel's names (net/mptcp/mib.c)."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.packet.address import Address, Flow
from testbed.packet.mptcp import MpCapable, MpFail, MpJoinAck, MpJoinSyn
from testbed.packet.segment import ACK
from testbed.stack.connection import ErrorKind
from testbed.stack.mptcp.path_manager.base import SetBackup

from .network import Network
from .script import LOCAL_2, REMOTE_2, Script


def mptcp(endpoint: Any) -> dict[str, int]:
    """Return what is of MPTCP, without the prefix."""
    prefix = "MPTcpExt"
    found = endpoint.counters.items()
    return {name.removeprefix(prefix): by for name, by in found if name.startswith(prefix)}


def transfer(**options: Any) -> tuple[Any, Any, Network]:
    network = Network(2, **options)
    network.server.endpoint.listen(Address("0.0.0.0", 80))
    connection = network.connect()
    network.client.send(connection, bytes(100_000), close=False)
    network.run(2)
    return connection, network.server.connections[0], network


def test_both_ends_tell_how_a_connection_was_opened() -> None:
    connection, peer, network = transfer()
    client, server = network.client.endpoint, network.server.endpoint
    here, there = mptcp(client), mptcp(server)
    assert {name: here[name] for name in ("MPCapableSYNTX", "MPCapableSYNACKRX")} == {
        "MPCapableSYNTX": 1,
        "MPCapableSYNACKRX": 1,
    }
    assert there["MPCapableSYNRX"] == there["MPCapableACKRX"] == 1
    assert here["MPJoinSynAckRx"] == there["MPJoinSynRx"] == there["MPJoinAckRx"] == 1
    assert there["AddAddrTx"] == here["AddAddr"] == here["EchoAddTx"] == there["EchoAdd"]
    assert here["MPCurrEstab"] == there["MPCurrEstab"] == 1
    assert client.counters["TcpActiveOpens"] == here["MPJoinSynTx"] + 1
    assert server.counters["TcpPassiveOpens"] == server.counters["TcpCurrEstab"] == 2
    connection.abort()
    network.run(2)
    assert peer.failure.kind is ErrorKind.RESET
    assert mptcp(client)["MPFastcloseTx"] == 2
    assert mptcp(server)["MPFastcloseRx"] >= 1
    assert "MPCurrEstab" not in mptcp(client)


def test_segments_are_those_of_all_connections_also_ended_ones() -> None:
    connection, _, network = transfer()
    network.client.send(connection, b"")
    network.server.send(network.server.connections[0], b"")
    network.run(200)  # nothing is left
    assert not network.client.endpoint.connections
    sent = [one for one in network.sent if one.source.host in network.client.hosts]
    assert network.client.endpoint.counters["TcpOutSegs"] == len(sent)
    assert "TcpCurrEstab" not in network.client.endpoint.counters


def test_removed_addresses_and_priorities() -> None:
    connection, _, network = transfer()
    client, server = network.client.endpoint, network.server.endpoint
    second = next(one.path.flow for one in connection.subflows if one.number and one.usable)
    client.paths.execute(connection.keys.token, SetBackup(flow=second, backup=True), network.now)
    network.run(1)
    assert mptcp(client)["MPPrioTx"] == mptcp(server)["MPPrioRx"] == 1
    client.address_removed(second.local.host, network.now)
    network.run(1)
    here, there = mptcp(client), mptcp(server)
    assert here["RmAddrTx"] == there["RmAddr"] == 1
    assert here["RmSubflow"] == here["MPRstTx"] == there["MPRstRx"] == 1


def test_data_that_another_subflow_carries_again() -> None:
    connection, _, network = transfer()
    for path in network.path(1):
        path.up = False
    network.client.send(connection, bytes(300_000), close=False)
    network.run(10)
    assert mptcp(network.client.endpoint)["MPTCPRetrans"] >= 1


def test_peer_that_speaks_plain_tcp(script: Any) -> None:
    world = script()
    peer = world.dial()
    peer.syn_ack()
    found = mptcp(world.endpoint)
    assert (found["MPCapableSYNTX"], found["MPCapableFallbackSYNACK"]) == (1, 1)
    assert "MPCapableSYNACKRX" not in found


def test_fallback_at_the_third_ack(script: Any) -> None:
    world = script()
    peer = world.subpeer()
    peer.syn(MpCapable())
    peer.send(ACK)
    found = mptcp(world.endpoint)
    assert (found["MPCapableSYNRX"], found["MPCapableFallbackACK"]) == (1, 1)


def test_joins_that_nobody_takes(script: Any) -> None:
    world = script()
    world.open()
    peer = world.subpeer(Address("10.0.2.1", 80), Address("10.0.2.2", 4001))
    peer.syn(MpJoinSyn(address_id=2, token=7, nonce=1))
    found = mptcp(world.endpoint)
    assert (found["MPJoinSynRx"], found["MPJoinNoTokenFound"]) == (1, 1)


def test_damage_and_what_is_said_of_it(script: Any) -> None:
    world = script(checksum=True)
    peer = world.open(flags=0x81)
    dss = world.summed(0, b"data", 1)
    peer.send(ACK, dss, payload=b"date")
    found = mptcp(world.endpoint)
    assert (found["DataCsumErr"], found["MPFailTx"]) == (1, 1)
    peer.send(ACK, MpFail(dsn=world.keys.incoming.number(0)))
    assert mptcp(world.endpoint)["MPFailRx"] == 1


def test_plain_tcp_counts_opens_and_timeouts() -> None:
    network = Network(1)
    network.server.endpoint.tcp.listen(Address("0.0.0.0", 81))
    flow = Flow(Address("10.0.1.1", 41_000), Address("10.0.1.2", 81))
    connection = network.client.endpoint.tcp.connect(flow, 0)
    network.run(1)
    network.path(0)[0].up = False
    connection.send(b"data")
    network.run(3)
    counters = network.client.endpoint.counters
    assert counters["TcpActiveOpens"] == counters["TcpCurrEstab"] == 1
    assert counters["TcpRetransSegs"] >= counters["TcpExtTCPTimeouts"] >= 1


def test_joins_whose_proof_is_wrong() -> None:
    world = Script()
    world.open()
    stranger = world.subpeer(LOCAL_2, REMOTE_2)
    stranger.syn(MpJoinSyn(address_id=2, token=world.keys.remote_token, nonce=1, backup=True))
    stranger.send(ACK, MpJoinAck(hmac=bytes(20)))
    found = mptcp(world.endpoint)
    assert (found["MPJoinAckHMacFailure"], found["MPJoinSynBackupRx"]) == (1, 1)
    assert "MPJoinAckRx" not in found


def test_data_in_another_order_and_twice() -> None:
    world = Script()
    peer = world.open()
    second = world.joined()
    peer.send(ACK, world.data(10, 5, 1), payload=b"later")
    peer.send(ACK, world.data(20, 5, 6), payload=b"later")
    second.send(ACK, world.data(0, 10, 1), payload=b"0123456789")
    second.send(ACK, world.data(0, 10, 11), payload=b"0123456789")
    found = mptcp(world.endpoint)
    assert (found["OFOQueue"], found["OFOQueueTail"], found["DuplicateData"]) == (2, 1, 1)


@pytest.mark.parametrize(("joins", "name"), [(False, "DssFallback"), (True, "FallbackFailed")])
def test_data_without_options(joins: bool, name: str) -> None:
    world = Script()
    peer = world.open()
    if joins:
        world.joined()
    peer.send(ACK, payload=b"plain")
    assert mptcp(world.endpoint)[name] == 1
