"""The accept queue of a port: what listen(2) calls the backlog."""

from __future__ import annotations

from testbed.packet.address import Address, Flow
from testbed.packet.segment import ACK, RST, SYN, Segment
from testbed.stack.connection import Connected
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.endpoint import TcpEndpoint

from .riding import RIDING
from .script import HERE, SECOND, bare


class Port:
    """A port whose program accepts when the test says so, and peers that connect to it."""

    def __init__(self, accept_queue: int | None) -> None:
        self.endpoint = TcpEndpoint(bare(), b"k" * 16)
        self.endpoint.listen(HERE, RIDING.acceptor(), accept_queue=accept_queue)
        self.connected: list[TcpConnection] = []
        self.now = 100 * SECOND

    def send(self, port: int, flags: int, seq: int, ack: int = 0) -> list[Segment]:
        peer = Address("10.0.0.2", port)
        segment = Segment(source=peer, destination=HERE, seq=seq, ack=ack, flags=flags, window=9999)
        self.endpoint.receive(segment, self.now)
        return self.take()

    def take(self) -> list[Segment]:
        out = list(self.endpoint.segments_to_send(self.now))
        while (found := self.endpoint.next_event()) is not None:
            if isinstance(found[1], Connected):
                self.connected.append(found[0])
        return out

    def begin(self, port: int) -> int:
        """Send a SYN; return what the third ACK acknowledges."""
        (answer,) = self.send(port, SYN, 1000)
        return (answer.seq + 1) & 0xFFFF_FFFF

    def open(self, port: int) -> None:
        assert self.send(port, ACK, 1001, self.begin(port)) == []

    def accept(self) -> None:
        self.endpoint.accepted(self.connected.pop(0))

    @property
    def ports(self) -> list[int]:
        return [one.flow.remote.port for one in self.connected]


def test_one_more_than_the_backlog_waits() -> None:
    """As in Linux: with a backlog of 0 one connection waits."""
    world = Port(0)
    world.open(1)
    assert world.send(2, SYN, 1000) == []
    assert world.ports == [1]
    counters = world.endpoint.counters
    assert (counters["TcpExtListenOverflows"], counters["TcpExtListenDrops"]) == (1, 1)
    world.accept()
    world.open(2)
    assert world.ports == [2]


def test_third_ack_that_finds_it_full_is_dropped() -> None:
    world = Port(0)
    acks = {port: world.begin(port) for port in (1, 2)}
    for port in (1, 2):
        world.send(port, ACK, 1001, acks[port])
    assert world.ports == [1]
    world.now = world.endpoint.next_timer() or 0
    world.endpoint.handle_timer(world.now)
    (again,) = world.take()  # the peer is still asked
    assert (again.flags, again.destination.port) == (SYN | ACK, 2)
    world.accept()
    world.send(2, ACK, 1001, acks[2])
    assert world.ports == [2]


def test_reset_ends_a_handshake_all_the_same() -> None:
    world = Port(0)
    world.begin(2)
    world.open(1)
    world.send(2, RST, 1001)
    flow = Flow(HERE, Address("10.0.0.2", 2))
    found = world.endpoint.connection(flow)
    assert found is None or found.closed


def test_connection_that_has_ended_waits_until_it_is_accepted() -> None:
    world = Port(0)
    world.open(1)
    world.send(1, RST, 1001)
    assert world.send(2, SYN, 1000) == []
    assert world.connected[0].closed


def test_segment_of_no_connection_is_answered_as_ever() -> None:
    world = Port(0)
    world.open(1)
    (answer,) = world.send(2, ACK, 1001, 77)
    assert (answer.flags, answer.seq) == (RST, 77)


def test_cookie_is_kept_to_when_there_is_room_again() -> None:
    world = Port(0)
    world.endpoint = TcpEndpoint(bare(), b"k" * 16)
    world.endpoint.listen(HERE, RIDING.acceptor(), 0, accept_queue=0)
    acks = {port: world.begin(port) for port in (1, 2)}
    for port in (1, 2):
        assert world.send(port, ACK, 1001, acks[port]) == []
    assert world.ports == [1]
    world.accept()
    world.send(2, ACK, 1001, acks[2])
    assert world.ports == [2]


def test_without_a_queue_all_are_accepted_at_once() -> None:
    world = Port(None)
    for port in range(1, 6):
        world.open(port)
    assert world.ports == [1, 2, 3, 4, 5]
    assert "TcpExtListenOverflows" not in world.endpoint.counters


def test_each_connection_of_a_peer_takes_a_place() -> None:
    """A peer that opens and resets the same connection again and again fills the queue as well."""
    world = Port(1)
    for _ in range(2):
        world.open(1)
        world.send(1, RST, 1001)
    assert world.send(1, SYN, 1000) == []
    assert world.ports == [1, 1]
    world.accept()
    world.accept()
    for port in (2, 3):
        world.open(port)
    assert world.send(1, SYN, 1000) == []
