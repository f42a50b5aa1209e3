"""A connection whose last subflow has ended goes on with another (RFC 8684, section 3.3.3)."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.packet.address import Address
from testbed.packet.mptcp import MpJoinSyn, MpTcprst, ResetReason
from testbed.packet.options import find
from testbed.packet.segment import ACK, FIN, RST, SYN, Segment
from testbed.stack.mptcp.path_manager.base import PathEndpoint, PathLimits

from .script import LOCAL, LOCAL_2, REMOTE_2

ANY = Address("0.0.0.0", 80)
NO_MORE = PathLimits(subflows=0, add_addr_accepted=0)


def _joins(segments: list[Segment]) -> list[Segment]:
    return [one for one in segments if find(one.options, MpJoinSyn)]


def _alone(script: Any, **options: Any) -> tuple[Any, Any]:
    """Return a client's connection that has only its first subflow, and that."""
    world = script(limits=NO_MORE, **options)
    peer, _ = world.accept()
    peer.send(ACK, world.ack())
    return world, peer


@pytest.mark.requirement("RFC 8684", "3.3.3-MUST-NOT-1")
def test_initiator_joins_when_its_last_subflow_is_reset(script: Any) -> None:
    """A join from the same address in spite of the limits: there is no other. Data goes there."""
    world, peer = _alone(script)
    world.write(b"data")
    peer.take()
    peer.send(RST | ACK)
    (syn,) = _joins(world.out)
    assert (syn.source.host, syn.destination) == (LOCAL.host, peer.flow.remote)
    join, option = world.joining()
    join.syn_ack(world.join_answer(option))
    answers = join.send(ACK, world.ack())
    assert [one.payload for one in answers if one.payload] == [b"data"]


def test_each_path_is_tried_once(script: Any) -> None:
    """Joins from each address to each of the peer's; then the time-out ends the connection."""
    world, peer = _alone(script)
    peer.send(ACK, world.announcement(2, REMOTE_2.host, 80))
    peer.send(RST | ACK)
    tried = []
    while found := _joins(world.out):
        world.out.clear()
        for syn in found:
            tried.append((syn.source.host, syn.destination.host))
            join = world.subpeer(syn.source, syn.destination)
            join.seq, join.endpoint_isn = 0, syn.seq
            world.inject(
                Segment(
                    source=syn.destination, destination=syn.source, seq=0,
                    ack=(syn.seq + 1) & 0xFFFFFFFF, flags=RST | ACK,
                )
            )  # fmt: skip
        assert len(tried) < 10
    hosts = (LOCAL.host, LOCAL_2.host)
    assert sorted(tried) == sorted(
        (here, there) for here in hosts for there in (peer.flow.remote.host, REMOTE_2.host)
    )
    assert not world.connection.closed
    world.wait(61)
    assert world.connection.closed


@pytest.mark.requirement("RFC 8684", "3.6-MAY-4", "3.6-SHOULD-NOT-1")
@pytest.mark.parametrize(("transient", "joins"), [(False, 0), (True, 1)])
def test_peer_says_whether_to_try_again(script: Any, transient: bool, joins: int) -> None:
    """Section 3.6: not on the same path if the error is permanent."""
    world, peer = _alone(script)
    peer.send(RST | ACK, MpTcprst(reason=ResetReason.RESOURCES, transient=transient))
    again = [one for one in _joins(world.out) if one.source.host == LOCAL.host]
    assert len(again) == joins


def test_transient_errors_without_end_are_not_answered_without_end(script: Any) -> None:
    """A join that the peer refuses is not repeated at once, with any value of its flag."""
    world, peer = _alone(script)
    peer.send(RST | ACK)
    join, _ = world.joining()
    join.take()
    join.seq = 0
    assert join.send(RST | ACK, MpTcprst(reason=ResetReason.RESOURCES, transient=True)) == []


def test_what_this_side_has_ended_stays_ended(script: Any) -> None:
    """The endpoint of the last subflow is removed: that is what was wanted."""
    endpoint = PathEndpoint(host=LOCAL.host, id=3, subflow=True)
    world, peer = _alone(script, endpoints=(endpoint,))
    world.endpoint.paths.become((), world.now)
    world.pump()
    assert [one.flags for one in peer.take() if one.flags & (FIN | RST)] == [FIN | ACK]
    peer.send(FIN | ACK)
    world.wait(100)
    assert world.connection.subflows == []
    assert _joins(world.out) == []


def test_responder_waits(script: Any) -> None:
    """The initiator's port is not open; it will come by itself."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(0, 5, 1), payload=b"hello")
    peer.send(RST | ACK)
    assert not [one for one in world.out if one.flags & SYN]
    assert not world.connection.closed


@pytest.mark.parametrize("seed", range(4))
def test_transfer_survives_a_box_that_resets(network: Any, seed: int) -> None:
    """A box on the only path forgets its connections twice, and packets get lost besides."""
    net = network(1, seed=seed)
    net.server.endpoint.listen(ANY)
    for path in net.paths.values():
        path.loss = 0.02
    connection = net.connect()
    net.client.send(connection, bytes(1_500_000))
    for _ in range(2):
        net.run(0.3)
        for host in (net.client, net.server):
            for one in host.connections:
                for subflow in one.subflows:
                    tcp = subflow.tcp
                    reset = Segment(
                        source=tcp.flow.remote, destination=tcp.flow.local,
                        seq=tcp.receiver.ack_number, flags=RST,
                    )  # fmt: skip
                    host.endpoint.receive(reset, net.now)
    net.run(60)
    (accepted,) = net.server.connections
    assert len(net.server.received[accepted]) == 1_500_000
    assert len(_joins(net.sent)) >= 2
    assert connection.failure is None
