"""Address signals on the wire, with segments made by hand (RFC 8684, section 3.4)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any
from unittest import mock

import msgspec
import pytest

from testbed.packet.address import Address
from testbed.packet.codec import emit, parse
from testbed.packet.mptcp import (
    AddAddr,
    Dss,
    MpJoinSyn,
    RemoveAddr,
)
from testbed.packet.options import find
from testbed.packet.segment import ACK, RST, Segment
from testbed.stack.mptcp import crypto
from testbed.stack.mptcp.path_manager.base import PathEndpoint, PathLimits

from .script import LOCAL, LOCAL_2, REMOTE, REMOTE_2


@pytest.mark.requirement("RFC 8684", "3-MUST-NOT-1", "3.4.1-MUST-NOT-1", "4-MUST-NOT-1")
def test_signal_is_no_duplicate_ack(script: Any) -> None:
    """Section 3.3.5: ACKs with options other than DSS are no congestion signal."""
    world = script()
    peer = world.open()
    world.write(bytes(50_000))
    sent = peer.take()
    assert len(sent) > 3
    for number in range(1, 6):
        signal = AddAddr(address_id=number, address="10.0.9.9", hmac=bytes(8))
        assert not any(peer.relative(one) == 1 for one in peer.send(ACK, signal, ack=1))
    for _ in range(3):  # DSS is the exception
        again = peer.send(ACK, world.ack(), ack=1)
    assert [peer.relative(one) for one in again] == [1]


def announcement(world: Any, **changes: Any) -> AddAddr:
    """Return an ADD_ADDR of the peer."""
    option = world.announcement(5, REMOTE_2.host, REMOTE_2.port)
    return msgspec.structs.replace(option, **changes)


def test_add_addr_is_echoed_and_taken_up(script: Any) -> None:
    """Section 3.4.1: the echo has no HMAC."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.ack())
    (echo,) = peer.send(ACK, announcement(world))
    assert find(echo.options, AddAddr) == announcement(world, hmac=None)
    (syn,) = world.out
    join = find(syn.options, MpJoinSyn)
    assert syn.destination == REMOTE_2
    assert join.token == world.keys.token
    world.out.clear()
    peer.send(ACK, announcement(world))  # the echo was lost
    assert world.out == []  # no second join


@pytest.mark.requirement("RFC 8684", "3.4.1-SHOULD-3")
def test_add_addr_with_a_wrong_hmac_is_ignored(script: Any) -> None:
    """Section 3.4.1."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.ack())
    assert peer.send(ACK, announcement(world, hmac=bytes(8))) == []
    assert world.out == []


@pytest.mark.requirement("RFC 8684", "3.4.1-MUST-3")
def test_add_addr_is_sent_until_its_echo(script: Any) -> None:
    """Section 3.4.1; its HMAC is the rightmost 64 bits."""
    world = script(endpoints=(PathEndpoint(host=LOCAL_2.host, id=3, signal=True),))
    peer = world.open()
    world.wait(10)
    found = [one for segment in peer.take() if (one := find(segment.options, AddAddr))]
    local, remote = world.keys.pair()
    hmac = crypto.add_addr_hmac(remote, local, 3, LOCAL_2.host, None)
    assert set(found) == {AddAddr(address_id=3, address=LOCAL_2.host, hmac=hmac)}
    assert len(found) >= 3
    peer.send(ACK, world.ack(), AddAddr(address_id=3, address=LOCAL_2.host))
    world.wait(200)
    assert not any(find(one.options, AddAddr) for one in peer.take())


@pytest.mark.requirement("RFC 8684", "3.2-MUST-1", "3.4.1-SHOULD-1")
def test_remove_addr_with_several_ids(script: Any) -> None:
    """Section 3.4.2: unknown ids are ignored."""
    world = script()
    first = world.open()
    second = world.subpeer(LOCAL_2, REMOTE_2)
    world.join(second, address_id=2)
    first.send(ACK, world.ack(), RemoveAddr(address_ids=(9, 2, 200)))
    second.take()
    world.wait(5)
    assert second.take()[-1].flags & RST
    assert world.tracer.count("sub_closed") == 1
    first.send(ACK, world.data(0, 3, 1), payload=b"abc")
    assert world.connection.read(100) == b"abc"


@pytest.mark.requirement("RFC 8684", "3.4.2-SHOULD-1")
def test_lost_address_is_withdrawn_on_the_survivor(script: Any) -> None:
    """Section 3.4.2: and what was on its subflow is sent on another."""
    world = script()
    first = world.open()
    second = world.joined()
    world.write(b"x" * 3000)
    lost = [one for one in first.take() + second.take() if one.payload]
    assert lost
    on_first = [one for one in lost if one.source.host == "10.0.1.1"]
    world.hosts = (LOCAL_2.host,)
    world.endpoint.address_removed("10.0.1.1", world.now)
    world.pump()
    answers = second.take()
    assert RemoveAddr(address_ids=(0,)) in [find(one.options, RemoveAddr) for one in answers]
    again = {find(one.options, Dss).dsn for one in answers if one.payload}
    assert {find(one.options, Dss).dsn for one in on_first} <= again


@pytest.mark.requirement("RFC 8684", "3.4.2-SHOULD-2")
def test_many_addresses_are_withdrawn_by_several_options(script: Any) -> None:
    """RFC 9293, section 3.1: 40 octets of options are all there are."""
    hosts = [f"10.7.0.{number}" for number in range(1, 61)]
    endpoints = [PathEndpoint(host=host, id=n, signal=True) for n, host in enumerate(hosts, 1)]
    world = script(endpoints=tuple(endpoints))
    world.hosts = (LOCAL.host, *hosts)
    peer = world.open()
    peer.take()
    for host in hosts:
        world.endpoint.address_removed(host, world.now)
    world.pump()
    found = [find(parse(emit(one)).options, RemoveAddr) for one in peer.take()]
    ids = [number for option in found if option is not None for number in option.address_ids]
    assert sorted(ids) == list(range(1, 61))


def announced(segments: Sequence[Segment]) -> list[int]:
    """Return the ids of the addresses that are announced or echoed."""
    found = (find(segment.options, AddAddr) for segment in segments)
    return [option.address_id for option in found if option is not None]


@pytest.fixture
def announcer(script: Any) -> Any:
    """A host with three addresses to announce."""
    endpoints = tuple(PathEndpoint(host=LOCAL_2.host, id=one, signal=True) for one in (3, 4, 5))
    return script(endpoints=endpoints)


@pytest.mark.requirement("RFC 8684", "3-SHOULD-NOT-1", "3.4.1-SHOULD-NOT-2", "4-SHOULD-NOT-2")
def test_one_address_is_announced_after_the_other(announcer: Any) -> None:
    """Linux drops an ADD_ADDR that comes before it has looked at the one before."""
    peer = announcer.open()  # the peer gets an ADD_ADDR of the first address
    for number, following in ((3, [4]), (4, [5]), (5, [])):
        announcer.wait(0.1)
        assert announced(peer.take()) == []
        echo = AddAddr(address_id=number, address=LOCAL_2.host)
        assert announced(peer.send(ACK, announcer.ack(), echo)) == following
    announcer.wait(200)
    assert announced(peer.take()) == []


def test_an_address_that_is_never_echoed_does_not_hold_up_the_others(announcer: Any) -> None:
    peer = announcer.open()
    announcer.wait(0.7)
    assert announced(peer.take()) == [4, 5, 3]
    for number in (4, 5):
        peer.send(ACK, announcer.ack(), AddAddr(address_id=number, address=LOCAL_2.host))
    announcer.wait(200)
    assert set(announced(peer.take())) == {3}


@pytest.mark.parametrize(("most_ms", "intervals"), [(1000, [200, 400, 800]), (50, [50, 100, 200])])
def test_it_is_repeated_after_the_time_out_of_the_subflows(
    script: Any, most_ms: int, intervals: list[int]
) -> None:
    """Section 3.4.1 names no interval. Linux (6.18) uses the greatest RTO, with a limit."""
    endpoint = PathEndpoint(host=LOCAL_2.host, id=3, signal=True)
    world = script(endpoints=(endpoint,), announce_ns=most_ms * 1_000_000)
    peer = world.open()
    peer.send(ACK, world.ack())
    times = [world.now]
    while len(times) < 4:
        world.wait(0.001)
        times += [world.now for _ in announced(peer.take())]
    assert [(b - a) // 10_000_000 * 10 for a, b in itertools.pairwise(times)] == intervals


def test_each_signal_has_an_ack_of_its_own(script: Any) -> None:
    """Section 3.4: an ACK that carries one is neither left out nor put together with another."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.ack())
    with mock.patch.object(world, "pump"):  # all signals arrive before an answer leaves
        for number in (3, 4, 5):
            peer.send(ACK, world.announcement(number, f"10.0.{number}.2", REMOTE_2.port))
    world.pump()
    assert announced(peer.take()) == [3, 4, 5]


@pytest.mark.requirement("RFC 8684", "3.4.2-SHOULD-1")
def test_address_is_withdrawn_as_soon_as_there_is_a_subflow(script: Any) -> None:
    """Section 3.4.2: break before make; REMOVE_ADDR could not be sent when the address went."""
    world = script(endpoints=(PathEndpoint(host=LOCAL.host, id=3, signal=True),))
    first = world.open()
    world.hosts = (LOCAL_2.host,)
    world.endpoint.address_removed(LOCAL.host, world.now)
    world.pump()
    first.take()
    second = world.subpeer(LOCAL_2, REMOTE_2)
    answers = world.join(second)
    assert RemoveAddr(address_ids=(0, 3)) in [find(one.options, RemoveAddr) for one in answers]


@pytest.mark.parametrize("host", ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1"])
def test_address_of_no_single_host_is_not_joined(script: Any, host: str) -> None:
    """RFC 9293, MUST-46: a peer must not have us send the token to a whole network."""
    world = script(limits=PathLimits(subflows=4, add_addr_accepted=4))
    peer = world.open()
    peer.send(ACK, world.ack())
    answers = peer.send(ACK, world.announcement(3, host))
    assert any(find(one.options, AddAddr) for one in answers)
    assert world.out == []
    assert len(world.connection.subflows) == 1


@pytest.mark.requirement("RFC 8684", "3.4.1-SHOULD-2")
def test_port_0_is_no_port(script: Any) -> None:
    """Section 3.4.1: without a port it is that of the first subflow; Linux takes 0 for none."""
    world = script(limits=PathLimits(subflows=4, add_addr_accepted=4))
    peer = world.open()
    peer.send(ACK, world.ack())
    answers = peer.send(ACK, world.announcement(3, "10.0.2.2", 0))
    (echo,) = [found for one in answers if (found := find(one.options, AddAddr))]
    assert echo == AddAddr(address_id=3, address="10.0.2.2", port=0)
    (syn,) = world.out
    assert syn.destination == Address("10.0.2.2", REMOTE.port)


@pytest.mark.requirement("RFC 8684", "3.4.1-SHOULD-4")
def test_known_address_with_another_port_is_joined(script: Any) -> None:
    """Section 3.4.1: the id stays, and the new port is one more way there."""
    world = script(limits=PathLimits(subflows=4, add_addr_accepted=4))
    peer = world.open()
    peer.send(ACK, world.ack())
    for port in (5001, 5002):
        peer.send(ACK, world.announcement(3, REMOTE_2.host, port))
    joins = [one for one in world.out if find(one.options, MpJoinSyn)]
    assert [one.destination for one in joins] == [
        Address(REMOTE_2.host, port) for port in (5001, 5002)
    ]


@pytest.mark.requirement("RFC 8684", "3.4.2-SHOULD-4")
@pytest.mark.parametrize("number", [0, 5])
def test_withdrawn_address_is_not_joined_any_more(script: Any, number: int) -> None:
    """Section 3.4.2: its subflow stays while its peer answers; no further one goes there."""
    world = script(path_manager="fullmesh")
    world.hosts = (LOCAL.host,)
    peer, _ = world.accept()
    peer.send(ACK, world.ack())
    peer.send(ACK, world.announcement(5, REMOTE_2.host, 5001))
    world.out.clear()
    peer.send(ACK, world.ack(), RemoveAddr(address_ids=(number,)))
    world.hosts = (LOCAL.host, "10.0.3.1")
    world.endpoint.address_added("10.0.3.1", world.now)
    world.pump()
    joined = {one.destination.host for one in world.out if find(one.options, MpJoinSyn)}
    assert joined == {REMOTE_2.host if number == 0 else REMOTE.host}
