"""An exception in one connection ends that connection, and takes nothing from the others."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from testbed.packet.address import Address, Flow
from testbed.packet.icmp import IcmpError, IcmpKind
from testbed.packet.mptcp import MpFastclose
from testbed.packet.options import find
from testbed.packet.segment import RST, Segment
from testbed.stack.connection import Closed, Connected, Connection, ErrorKind, Event
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.connection import MptcpConnection
from testbed.stack.mptcp.endpoint import MptcpEndpoint
from testbed.stack.mptcp.path_manager.base import PathEndpoint
from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.endpoint import TcpEndpoint
from testbed.stack.tcp.no_extension import NoExtension

pytestmark = pytest.mark.interpreted

S = 1_000_000_000
SERVER = Address("10.0.1.2", 80)
VICTIM, OTHER = 40_001, 40_002  # ports of the client
HOOKS = ("group", "options", "received", "window", "window_counts", "state_changed", "timed_out",
         "acked")  # fmt: skip
PARTS_OF_TCP = ("receive", "segments_to_send", "handle_timers", "receive_icmp", "event_taken")
PARTS_OF_MPTCP = ("step", "handle_timer", "next_timer")


class BugError(Exception):
    """The injected exception."""


def broken(*_arguments: Any, **_more: Any) -> Any:
    raise BugError("injected")


class Side:
    """An endpoint and what it reports."""

    def __init__(self, make: Callable[[Side], Any], hosts: tuple[str, ...]) -> None:
        self.hosts = hosts
        self.ports: list[int] = []
        self.faults: list[str] = []
        self.events: list[tuple[Connection, Event]] = []
        self.received: dict[Connection, bytes] = {}
        self.endpoint = make(self)

    def event(self, name: str, now: int, fields: dict[str, Any]) -> None:
        if name == "fault":
            self.faults.append(fields["error"])

    def source_for(self, remote_host: str) -> str | None:
        return next((one for one in self.hosts if one[:7] == remote_host[:7]), None)

    def port_for(self, local_host: str, remote: Address) -> int:
        port = 50_000 + len(self.ports)
        self.ports.append(port)
        return port

    def release_port(self, local: Address) -> None:
        self.ports.remove(local.port)

    def connections(self) -> list[Connection]:
        return [one for one, event in self.events if isinstance(event, Connected)]

    def of(self, port: int) -> Connection:
        (found,) = [
            one for one in self.connections() if port in (one.flow.local.port, one.flow.remote.port)
        ]
        return found

    def failures(self) -> dict[int, Any]:
        """Return how connections failed, by the port of the client."""
        return {
            next(each.port for each in one.flow if each.port != 80): event.failure
            for one, event in self.events
            if isinstance(event, Closed) and event.failure is not None
        }

    def take_events(self) -> bool:
        any_came = False
        while (found := self.endpoint.next_event()) is not None:
            any_came = True
            self.events.append(found)
        for one in self.connections():
            if data := one.read(1 << 20):
                self.received[one] = self.received.get(one, b"") + data
        return any_came


def _tcp(_side: Side) -> TcpEndpoint:
    return TcpEndpoint(TcpConfig(keepalive=True), b"sixteen octets..")


def _mptcp(side: Side) -> MptcpEndpoint:
    endpoints = tuple(
        PathEndpoint(host=host, id=number, subflow=True, signal=host.endswith("2"))
        for number, host in enumerate(side.hosts[1:], 2)
    )
    config = MptcpConfig(tcp=TcpConfig(keepalive=True), endpoints=endpoints)
    return MptcpEndpoint(
        config, random.Random(side.hosts[0]), b"sixteen octets..", side, tracer=side
    )


class World:
    """A client and a server, whose segments take 10 ms."""

    def __init__(self, make: Callable[[Side], Any]) -> None:
        self.now = S
        self.client = Side(make, ("10.0.1.1", "10.0.2.1"))
        self.server = Side(make, ("10.0.1.2", "10.0.2.2"))
        self.sides = (self.client, self.server)
        self.lost: Callable[[Segment], bool] = lambda segment: False
        self.resets: list[Segment] = []
        self.server.endpoint.listen(Address("0.0.0.0", 80))

    def connect(self, port: int) -> Connection:
        flow = Flow(Address("10.0.1.1", port), SERVER)
        connection: Connection = self.client.endpoint.connect(flow, self.now)
        return connection

    def exchange(self) -> bool:
        """Let both sides send all they have, once; tell whether there was something."""
        moved = False
        for side, other in (self.sides, self.sides[::-1]):
            busy = True
            while busy:
                segments = side.endpoint.segments_to_send(self.now)
                busy = side.take_events() or bool(segments)
                moved |= busy
                for segment in segments:
                    if segment.flags & RST:
                        self.resets.append(segment)
                    if not self.lost(segment):
                        other.endpoint.receive(segment, self.now)
        return moved

    def run(self, seconds: float) -> None:
        end = self.now + int(seconds * S)
        while self.now < end:
            moved = self.exchange()
            self.now += 10_000_000
            due = [self.now] if moved else [one.endpoint.next_timer() for one in self.sides]
            nearest = min((one for one in due if one is not None), default=end)
            self.now = max(self.now, min(nearest, end))
            for side in self.sides:
                side.endpoint.handle_timer(self.now)
        while self.exchange():
            pass

    def leaves_nothing(self) -> None:
        """Expect that nothing stays, once all has been closed."""
        for side in self.sides:
            for connection in side.connections():
                connection.close()
        self.run(400)
        for side in self.sides:
            tcp = side.endpoint if isinstance(side.endpoint, TcpEndpoint) else side.endpoint.tcp
            assert tcp.next_timer() is None
            assert not any(tcp.uses(port) for port in (VICTIM, OTHER, *range(50_000, 50_100)))
            assert not side.ports
            if isinstance(side.endpoint, MptcpEndpoint):
                assert side.endpoint.connections == 0
                assert side.endpoint.next_timer() is None


KINDS = {"tcp": _tcp, "mptcp": _mptcp}


def _established(kind: str) -> World:
    world = World(KINDS[kind])
    for port in (VICTIM, OTHER):
        world.connect(port)
    world.run(1)
    assert [len(side.connections()) for side in world.sides] == [2, 2]
    return world


def _works_on(world: World) -> None:
    """Expect that the other connection carries data both ways."""
    for side, other in (world.sides, world.sides[::-1]):
        data = random.Random(7).randbytes(100_000)
        before = len(other.received.get(other.of(OTHER), b""))
        assert side.of(OTHER).send(data) == len(data)
        world.run(3)
        assert other.received[other.of(OTHER)][before:] == data


def _ended_by_the_bug(world: World, side: Side) -> None:
    failure = side.failures()[VICTIM]
    assert failure.kind is ErrorKind.INTERNAL
    assert isinstance(failure.cause, BugError)
    assert "injected" in failure.detail
    assert OTHER not in side.failures()


def _stir(world: World, side: Side) -> None:
    """Have every hook and timer of the victim be used."""
    connection = side.of(VICTIM)
    other = next(one for one in world.sides if one is not side)
    for each, at in ((connection, side), (other.of(VICTIM), other)):
        if not each.closed:
            each.send(bytes(50_000))
        assert at is not None
    world.run(0.3)
    flow = connection.flow
    error = IcmpError(kind=IcmpKind.TOO_BIG, flow=flow, seq=0, mtu=1000)
    side.endpoint.receive_icmp(error, world.now)
    if not connection.closed:
        connection.send(bytes(50_000))
        world.lost = lambda segment: True
        world.run(100)
        world.lost = lambda segment: False
    world.run(100)
    if not connection.closed:
        connection.shutdown()
        world.lost = lambda segment: True
        world.run(200)
        world.lost = lambda segment: False
    for each in (connection, other.of(VICTIM)):
        each.close()
    world.run(10)


def _subflow(side: Side) -> Subflow:
    connection = side.of(VICTIM)
    assert isinstance(connection, MptcpConnection)
    return connection.subflows[0]


@pytest.mark.parametrize("where", ["client", "server"])
@pytest.mark.parametrize(
    ("kind", "part"),
    [
        (kind, part)
        for kind in KINDS
        for part in PARTS_OF_TCP
        if (kind, part) != ("mptcp", "event_taken")
    ],
)  # a subflow has no user who takes its events
def test_exception_in_tcp(
    kind: str, part: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception in each call of the endpoint to a connection or a subflow."""
    world = _established(kind)
    side: Side = getattr(world, where)
    victim: Any = side.of(VICTIM)
    tcp = victim if kind == "tcp" else _subflow(side).tcp
    sound = getattr(TcpConnection, part)
    monkeypatch.setattr(
        TcpConnection,
        part,
        lambda self, *rest: broken() if self is tcp else sound(self, *rest),
    )
    if part == "receive_icmp":
        error = IcmpError(kind=IcmpKind.TOO_BIG, flow=tcp.flow, seq=0, mtu=1000)
        side.endpoint.receive_icmp(error, world.now)
    _stir(world, side)
    _ended_by_the_bug(world, side)
    _works_on(world)
    world.leaves_nothing()


@pytest.mark.parametrize("kind", KINDS)
def test_exception_while_another_connection_reports_the_mtu_of_the_path(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 8201, section 4: all connections of the path keep to it; only the one at fault ends."""
    world = _established(kind)
    side = world.client
    tcp = side.of(VICTIM)
    if isinstance(tcp, MptcpConnection):
        tcp = tcp.subflows[0].tcp
    sound = TcpConnection.path_shrinks
    monkeypatch.setattr(
        TcpConnection,
        "path_shrinks",
        lambda self, mtu: broken() if self is tcp else sound(self, mtu),
    )
    world.lost = lambda segment: True
    other = side.of(OTHER)
    other.send(bytes(1000))
    world.run(0.001)
    flow = other.subflows[0].tcp.flow if isinstance(other, MptcpConnection) else other.flow
    reporter = getattr(side.endpoint, "tcp", side.endpoint).connection(flow)
    number = (reporter.sender.base + reporter.sender.una) & 0xFFFF_FFFF
    error = IcmpError(kind=IcmpKind.TOO_BIG, flow=flow, seq=number, mtu=1000)
    side.endpoint.receive_icmp(error, world.now)
    world.lost = lambda segment: False
    world.run(10)
    _ended_by_the_bug(world, side)
    _works_on(world)


@pytest.mark.parametrize("where", ["client", "server"])
@pytest.mark.parametrize("hook", HOOKS)
def test_exception_in_a_hook_of_a_subflow(
    hook: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = _established("mptcp")
    side: Side = getattr(world, where)
    monkeypatch.setattr(_subflow(side), hook, broken)
    _stir(world, side)
    if hook == "state_changed":  # the user has closed it before, and knows all it needs to
        assert side.faults == ["BugError('injected')"]
    elif hook != "group":  # asked for when TCP has begun and when it has ended, to no effect
        _ended_by_the_bug(world, side)
        if hook != "options":
            assert any(find(one.options, MpFastclose) for one in world.resets)
    _works_on(world)
    world.leaves_nothing()


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("where", ["client", "server"])
@pytest.mark.parametrize("first", [True, False])
def test_exception_in_a_hook_during_the_handshake(
    first: bool, where: str, hook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the first subflow or a join: no token, port or place remains in use."""
    world = World(_mptcp)
    world.connect(OTHER)
    world.run(1)
    side: Side = getattr(world, where)
    sound = getattr(Subflow, hook)
    struck: list[Subflow] = []

    def strikes(self: Subflow, *rest: Any) -> Any:
        new = self._owner is not other and (self.number == 0) is first
        if new and self._owner in ours(side):
            struck.append(self)
            broken()
        return sound(self, *rest)

    def ours(side: Side) -> list[Any]:
        return list(side.endpoint._tokens._by_token.values())

    other = side.of(OTHER)
    monkeypatch.setattr(Subflow, hook, strikes)
    world.connect(VICTIM)
    world.run(5)
    if all(len(each.connections()) == 2 for each in world.sides):
        _stir(world, side)
    monkeypatch.setattr(Subflow, hook, sound)
    _works_on(world)
    if struck and hook != "group":
        assert side.faults
    world.leaves_nothing()


@pytest.mark.parametrize("where", ["client", "server"])
@pytest.mark.parametrize("part", PARTS_OF_MPTCP)
def test_exception_in_mptcp(part: str, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = _established("mptcp")
    side: Side = getattr(world, where)
    victim, sound = side.of(VICTIM), getattr(MptcpConnection, part)

    def strikes(self: MptcpConnection, *rest: Any, **named: Any) -> Any:
        return broken() if self is victim else sound(self, *rest, **named)

    monkeypatch.setattr(MptcpConnection, part, strikes)
    _stir(world, side)
    _ended_by_the_bug(world, side)
    assert side.faults
    _works_on(world)
    world.leaves_nothing()


CHANGES = ("address_added", "address_removed", "carrier_lost", "carrier_returned", "endpoint_added",
           "endpoint_changed", "endpoint_removed")  # fmt: skip


@pytest.mark.parametrize("part", [*CHANGES, "accepts_join", "forget"])
def test_exception_in_path_control(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(_mptcp)
    world.connect(OTHER)
    world.run(1)
    world.connect(VICTIM)
    world.exchange()
    world.exchange()  # the third ACK
    (victim,) = [one for one in world.server.endpoint._tokens
                 if one.flow.remote.port == VICTIM]  # fmt: skip
    monkeypatch.setattr(victim.paths, part, broken)
    world.run(1)
    for host in ("10.0.2.2", "10.0.3.2"):
        world.server.endpoint.address_added(host, world.now)
    world.server.endpoint.address_removed("10.0.2.2", world.now)
    world.server.endpoint.carrier_lost("10.0.1.2", world.now)
    world.server.endpoint.carrier_returned("10.0.1.2", world.now)
    for backup in (False, True):
        endpoint = PathEndpoint(host="10.0.3.2", id=3, signal=True, backup=backup)
        world.server.endpoint.paths.become([endpoint], world.now)
    world.server.endpoint.paths.become([], world.now)
    world.run(5)
    if part == "forget":
        world.client.of(VICTIM).abort()
        world.run(5)
    _ended_by_the_bug(world, world.server) if part != "forget" else None
    _works_on(world)
    world.leaves_nothing()


@pytest.mark.interpreted
def test_exception_of_a_new_path_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-open connection that cannot become a connection ends, and its token is free."""
    world = World(_mptcp)
    world.connect(OTHER)
    world.run(1)
    with monkeypatch.context() as patched:
        patched.setattr(world.server.endpoint, "_connection", broken)
        world.connect(VICTIM)
        world.run(1)
    assert world.server.faults
    assert world.server.endpoint.connections == 1
    world.run(60)
    _works_on(world)
    world.leaves_nothing()


@pytest.mark.parametrize("error", [OSError(98, "none is free"), BugError("injected")])
@pytest.mark.parametrize("call", ["port_for", "release_port", "event"])
def test_exception_of_the_driver(
    call: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls of an endpoint to its driver may raise: the round goes on for other connections."""
    world = World(_mptcp)
    world.connect(OTHER)
    world.run(1)

    def fails(*_arguments: Any) -> Any:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(world.client, call, fails)
        world.connect(VICTIM)
        world.run(2)
        if VICTIM not in world.client.failures():
            world.client.of(VICTIM).abort()
        world.run(5)
    _works_on(world)
    if call == "release_port":
        world.client.ports.clear()  # ``release_port`` failed, so this port remains
    world.leaves_nothing()


def test_exception_in_an_acceptor_is_answered_with_reset() -> None:
    class Faulty:
        accept = offer = resume = broken

    told: list[str] = []

    class Told:
        def event(self, name: str, now: int, fields: dict[str, Any]) -> None:
            told.append(name)

    endpoint = TcpEndpoint(TcpConfig(), b"sixteen octets..", tracer=Told())
    endpoint.listen(SERVER, Faulty())  # type: ignore[arg-type]
    client = TcpEndpoint(TcpConfig(), b"sixteen octets..")
    client.connect(Flow(Address("10.0.1.1", 1), SERVER), 0)
    (syn,) = client.segments_to_send(0)
    endpoint.receive(syn, 0)
    (answer,) = endpoint.segments_to_send(0)
    assert answer.flags & RST
    assert told == ["fault"]
    assert endpoint.next_event() is None


def test_wrong_octets_are_not_taken_for_the_end_of_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Unread data are discarded, so the end of file must not be reported either."""
    world = _established("tcp")
    client, server = world.client.of(VICTIM), world.server.of(VICTIM)
    monkeypatch.setattr(world.server, "take_events", lambda: False)
    client.send(b"octets")
    client.shutdown()
    world.run(1)
    world.server.endpoint.crash(server, BugError("injected"))
    assert not server.at_eof
    assert server.read(10) == b""


def test_extension_that_fails_in_its_last_words() -> None:
    """The RST leaves without its options."""

    class Mute(NoExtension):
        def options(self, flags: int, ext: Any, room: int) -> Any:
            return broken()

    endpoint = TcpEndpoint(TcpConfig(), b"sixteen octets..")
    connection = endpoint.connect(Flow(Address("10.0.1.1", 1), SERVER), 0, Mute())
    assert endpoint.segments_to_send(0) == []
    found = endpoint.next_event()
    assert found is not None
    assert found[0] is connection
    assert isinstance(found[1], Closed)
    assert isinstance(found[1].failure.cause, BugError)
    assert not endpoint.uses(1)
