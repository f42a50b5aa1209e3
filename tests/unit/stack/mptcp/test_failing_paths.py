"""Memory of paths that failed: RFC 8684, sections 3.1, 3.6, 3.7 and 3.9.3."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.packet.address import Address
from testbed.packet.mptcp import (
    MpCapable,
    MpJoinSyn,
    MpTcprst,
    RemoveAddr,
    ResetReason,
)
from testbed.packet.options import find
from testbed.packet.segment import ACK, RST, SYN, Segment
from testbed.stack.mptcp.black_holes import BlackHoles
from testbed.stack.mptcp.failures import Failures
from testbed.stack.mptcp.path_manager.base import (
    OpenSubflow,
    PathEndpoint,
    RemoteAddress,
    SubflowPath,
)
from testbed.stack.mptcp.path_manager.kernel_like import KernelLike

from .script import LOCAL_2, REMOTE_2, S

ANY = Address("0.0.0.0", 80)
SECOND = (PathEndpoint(host=LOCAL_2.host, id=2, subflow=True),)


def _swallow(*options: type) -> Any:
    """Return a box that drops SYNs with an option of one of these types."""

    def passed(segment: Segment) -> tuple[Segment, ...]:
        asks = segment.flags & SYN and any(isinstance(one, options) for one in segment.options)
        return () if asks else (segment,)

    return passed


def _syns(world: Any) -> list[bool]:
    """Return of each SYN of the client whether it had MP_CAPABLE."""
    syns = [one for one in world.sent if one.flags & (SYN | ACK) == SYN]
    return [find(one.options, MpCapable) is not None for one in syns]


def _through_a_hole(network: Any, **options: Any) -> Any:
    """Return a network whose only path swallows MP_CAPABLE."""
    net = network(1, **options)
    net.server.endpoint.listen(ANY)
    there, _ = net.path(0)
    there.filter = _swallow(MpCapable)
    return net


# MP_CAPABLE (sections 3.1 and 3.9.3).


@pytest.mark.requirement("RFC 8684", "3.1-MAY-4", "3.9.3-SHOULD-1")
@pytest.mark.parametrize("retries", [0, 1, 2])
def test_option_is_left_out_after_so_many_losses(network: Any, retries: int) -> None:
    net = _through_a_hole(network, syn_retrans_before_tcp_fallback=retries)
    connection = net.connect()
    net.client.send(connection, b"hello")
    net.run(60)
    assert _syns(net) == [True] * (retries + 1) + [False]
    assert connection.fallback
    (accepted,) = net.server.connections
    assert net.server.received[accepted] == b"hello"


@pytest.mark.requirement("RFC 8684", "3.9.3-SHOULD-1")
def test_next_connection_does_not_try(network: Any) -> None:
    """The handshake takes one round trip; with MP_CAPABLE it took seven seconds."""
    net = _through_a_hole(network)
    net.connect()
    net.run(60)
    net.sent.clear()
    connection = net.connect()
    net.run(0.03)
    assert _syns(net) == [False]
    assert connection.fallback


def test_it_is_tried_again_later_and_less_often(network: Any) -> None:
    """As in Linux: each period is twice as long as the one before."""
    net = _through_a_hole(network, blackhole_timeout_ns=100 * S)
    tried = []
    for _ in range(8):  # one each 60 s: found at 7, again from 107 on, and then from 307 on
        net.sent.clear()
        net.connect()
        net.run(60)
        tried.append(_syns(net)[0])
    assert tried == [True, False, True, False, False, False, True, False]


def test_hole_that_is_gone_is_forgotten(network: Any) -> None:
    """A connection with MPTCP proves it: the next hole counts as the first."""
    net = _through_a_hole(network, blackhole_timeout_ns=100 * S)
    net.connect()
    net.run(200)
    net.path(0)[0].filter = None
    connection = net.connect()
    net.run(1)
    assert not connection.fallback
    assert len(net.client.endpoint._black_holes) == 0


def test_late_answer_is_no_black_hole(network: Any) -> None:
    """Only the first SYN without the option tells: a network that was down proves nothing."""
    net = network(1)
    net.server.endpoint.listen(ANY)
    there, _ = net.path(0)
    there.up = False
    connection = net.connect()
    net.run(10)
    there.up = True
    net.run(60)
    assert connection.fallback
    net.sent.clear()
    net.connect()
    net.run(1)
    assert _syns(net) == [True]


def test_server_without_mptcp_is_no_black_hole(script: Any) -> None:
    """The server answers the first SYN without a loss of time: the next connection asks again."""
    world = script()
    world.dial().syn_ack()
    assert len(world.endpoint._black_holes) == 0


def test_memory_of_black_holes_is_bounded() -> None:
    """The destination that was found first is forgotten."""
    holes = BlackHoles(100)
    for number in range(3000):
        holes.found(f"10.0.{number // 256}.{number % 256}", number)
    assert len(holes) == 1024
    assert not holes.swallow("10.0.0.0", 0)
    assert holes.swallow("10.0.11.183", 3000)


def test_periods_grow_sixtyfourfold_at_most() -> None:
    """As in Linux."""
    holes = BlackHoles(100)
    for _ in range(20):
        holes.found("10.0.0.1", 0)
    assert holes.swallow("10.0.0.1", 6399)
    assert not holes.swallow("10.0.0.1", 6400)


def test_nothing_is_remembered_with_a_period_of_0() -> None:
    holes = BlackHoles(0)
    holes.found("10.0.0.1", 0)
    assert len(holes) == 0


# MP_JOIN (sections 3.8 and 3.9.3).


def _joining(script: Any, **options: Any) -> tuple[Any, Any, Any, MpJoinSyn]:
    """Return a connection that has just sent a join to an address that was announced."""
    world = script(**options)
    peer, _ = world.accept()
    peer.send(ACK, world.ack())
    peer.send(ACK, world.announcement(2, REMOTE_2.host))
    join, syn = world.joining()
    return world, peer, join, syn


def _joins(world: Any) -> list[Segment]:
    return [one for one in world.out if find(one.options, MpJoinSyn)]


def _insist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the path manager open each subflow again that could not be opened, or has ended."""

    def again(self: KernelLike, paths: Any, path: SubflowPath) -> list[OpenSubflow]:
        remote = RemoteAddress(path.remote_id, path.remote)
        return [OpenSubflow(local_host=path.local_host, local_id=path.local_id, remote=remote)]

    monkeypatch.setattr(KernelLike, "subflow_closed", again)


@pytest.mark.requirement("RFC 8684", "3.4.1-SHOULD-NOT-1", "3.9.3-SHOULD-NOT-1")
@pytest.mark.parametrize("refusal", ["RST", "SYN/ACK without MP_JOIN", "wrong HMAC"])
def test_join_that_failed_is_not_repeated(
    script: Any, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    """Section 3.9.3: no join to the same address and port, even if the path manager requests it."""
    _insist(monkeypatch)
    world, _, join, syn = _joining(script)
    join.take()
    if refusal == "RST":
        join.seq = 0
        assert join.send(RST | ACK) == []
    else:
        options = (world.join_answer(syn, hmac=bytes(8)),) if refusal == "wrong HMAC" else ()
        (reset,) = join.syn_ack(*options)  # and no SYN again
        assert reset.flags & RST  # section 3.8; it says that MPTCP's rules were broken
        assert find(reset.options, MpTcprst) == MpTcprst(reason=ResetReason.MPTCP)


@pytest.mark.requirement("RFC 8684", "3.6-MAY-4")
def test_join_that_may_be_tried_again_is(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Section 3.6: the T flag."""
    _insist(monkeypatch)
    _, _, join, _ = _joining(script)
    join.take()
    join.seq = 0
    (syn,) = join.send(RST | ACK, MpTcprst(reason=ResetReason.RESOURCES, transient=True))
    assert find(syn.options, MpJoinSyn) is not None


@pytest.mark.requirement("RFC 8684", "3.4.1-SHOULD-NOT-1", "3.9.3-SHOULD-NOT-1")
def test_announcement_refreshes_what_is_known(script: Any) -> None:
    """Section 3.9.3: another ADD_ADDR lets the address be tried again."""
    world, peer, join, _ = _joining(script)
    join.take()
    join.seq = 0
    assert join.send(RST | ACK) == []
    peer.send(ACK, world.announcement(2, REMOTE_2.host))
    assert [one.destination.host for one in _joins(world)] == [REMOTE_2.host]


def test_announcement_of_a_subflow_that_works_does_nothing(script: Any) -> None:
    world, peer, join, syn = _joining(script)
    join.syn_ack(world.join_answer(syn))
    join.send(ACK, world.ack())
    join.take()
    peer.send(ACK, world.announcement(2, REMOTE_2.host))
    assert _joins(world) == []


def test_address_that_comes_back_is_tried_again(script: Any) -> None:
    """The path is another one then."""
    world = script(endpoints=SECOND)
    peer, _ = world.accept()
    peer.send(ACK, world.ack())
    join, _ = world.joining()
    join.take()
    join.seq = 0
    assert join.send(RST | ACK) == []
    world.endpoint.address_removed(LOCAL_2.host, world.now)
    world.pump()
    assert _joins(world) == []
    world.endpoint.address_added(LOCAL_2.host, world.now)
    world.pump()
    assert len(_joins(world)) == 1


@pytest.mark.requirement("RFC 8684", "3.6-MAY-2", "3.6-MAY-3", "3.6-SHOULD-NOT-1")
@pytest.mark.parametrize("transient", [False, True])
def test_t_flag_says_whether_a_path_may_be_tried_again(script: Any, transient: bool) -> None:
    """Section 3.6: a permanent error of a subflow that had joined counts like a failed join."""
    world, peer, join, syn = _joining(script)
    join.syn_ack(world.join_answer(syn))
    join.send(ACK, world.ack())
    join.send(RST | ACK, MpTcprst(reason=ResetReason.RESOURCES, transient=transient))
    paths = world.connection.paths
    assert paths._failures.have(join.flow.local.host, join.flow.remote) is not transient
    peer.send(ACK, RemoveAddr(address_ids=(2,)))
    assert len(paths._failures) == 0


@pytest.mark.parametrize("seed", range(3))
def test_join_through_a_hole_is_given_up_once(
    network: Any, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Its SYNs vanish, with others lost besides: each path has one attempt."""
    _insist(monkeypatch)
    net = network(2, seed=seed)
    net.server.endpoint.listen(ANY)
    for path in net.path(1):
        path.filter = _swallow(MpJoinSyn)
    for path in net.path(0):
        path.loss = 0.02
    connection = net.connect()
    net.client.send(connection, bytes(300_000), close=False)
    net.run(1200)
    (accepted,) = net.server.connections
    assert len(net.server.received[accepted]) == 300_000
    joins = {(one.source, one.destination) for one in net.sent if find(one.options, MpJoinSyn)}
    assert len(joins) == len({(source.host, destination) for source, destination in joins}) > 0


def test_memory_of_failures_is_bounded() -> None:
    failures = Failures()
    for number in range(200):
        remote = Address("10.0.0.1", number)
        failures.add(
            SubflowPath(local_host="10.0.0.2", local_id=0, remote=remote, remote_id=number % 256)
        )
    assert len(failures) == 64
    assert not failures.have("10.0.0.2", Address("10.0.0.1", 0))
    assert failures.have("10.0.0.2", Address("10.0.0.1", 199))
