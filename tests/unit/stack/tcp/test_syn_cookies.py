"""RFC 4987, section 3.6: a full backlog keeps nothing for a SYN, and still lets the honest in."""

from __future__ import annotations

import itertools
import random

import pytest

from testbed.packet.address import Address, Flow
from testbed.packet.options import (
    MaximumSegmentSize,
    Option,
    SackPermitted,
    Timestamps,
    WindowScale,
    find,
)
from testbed.packet.segment import ACK, CWR, ECE, RST, SYN, Segment
from testbed.stack.connection import Connected
from testbed.stack.options import NO_OPTIONS, SocketOptions
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.endpoint import TcpEndpoint
from testbed.stack.tcp.extension import Refuse
from testbed.stack.tcp.no_extension import NoExtension

from .network import FLOW, MS, SECOND, SERVER, Network, Pump
from .riding import RIDING
from .test_extension import SIGNAL, OneAcceptor, Recorder

LINUX = (MaximumSegmentSize(1460), SackPermitted(), Timestamps(77, 0), WindowScale(7))
STRANGER = Address("203.0.113.9", 1000)


class Flooded:
    """A server whose backlog strangers have filled, and a peer that is none of them."""

    def __init__(
        self,
        config: TcpConfig | None = None,
        acceptor: OneAcceptor | None = None,
        options: SocketOptions = NO_OPTIONS,
    ) -> None:
        self.endpoint = TcpEndpoint(config or TcpConfig(ecn=True), b"s" * 16)
        self.endpoint.listen(SERVER, acceptor or RIDING.acceptor(), 10, options=options)
        self.now = 1000 * SECOND
        for port in range(10):
            self.stranger(port)
        self.out()
        if acceptor is not None:
            acceptor.seen.clear()

    def stranger(self, port: int) -> None:
        self.send(SYN, 5, source=STRANGER._replace(port=port + 1))

    def send(
        self,
        flags: int,
        seq: int,
        ack: int = 0,
        options: tuple[Option, ...] = LINUX,
        payload: bytes = b"",
        source: Address = FLOW.local,
    ) -> list[Segment]:
        segment = Segment(
            source=source, destination=SERVER, seq=seq & 0xFFFF_FFFF, ack=ack & 0xFFFF_FFFF,
            flags=flags, window=500, options=options, payload=payload,
        )  # fmt: skip
        self.endpoint.receive(segment, self.now)
        return self.out()

    def out(self) -> list[Segment]:
        return list(self.endpoint.segments_to_send(self.now))

    def connection(self) -> TcpConnection | None:
        return self.endpoint.connection(Flow(SERVER, FLOW.local))

    def open(self, flags: int = SYN, options: tuple[Option, ...] = LINUX) -> Segment:
        """Send a SYN and return the answer."""
        (answer,) = self.send(flags, 99, options=options)
        assert answer.flags & (SYN | ACK) == SYN | ACK
        assert answer.ack == 100
        assert self.connection() is None
        return answer

    def finish(self, answer: Segment, payload: bytes = b"") -> list[Segment]:
        stamp = find(answer.options, Timestamps)
        options = (Timestamps(80, stamp.value),) if stamp else ()
        return self.send(ACK, 100, answer.seq + 1, options, payload)


def test_a_connection_comes_about_without_a_place() -> None:
    server = Flooded()
    answer = server.open()
    server.now += 50 * MS
    assert server.finish(answer) == []
    connection = server.connection()
    assert connection is not None
    assert server.endpoint.next_event() == (connection, Connected())
    assert connection.mss == 1448
    info = connection.info()
    assert info["options"] == 1 | 2 | 4
    assert (info["snd_wscale"], info["rcv_wscale"]) == (7, TcpConfig().window_shift)
    assert connection.send_window == 500 << 7
    assert connection.min_rtt_ns is None  # a cookie keeps no time of the SYN/ACK
    assert connection.send(b"hello") == 5
    (data,) = server.out()
    assert data.seq == (answer.seq + 1) & 0xFFFF_FFFF
    assert data.payload == b"hello"


def test_cookie_offers_what_the_port_has_by_its_options() -> None:
    """Otherwise each side would use another scale for the windows of the connection."""
    options = SocketOptions(receive_buffer=9000, mss=600, traffic_class=0x20, hop_limit=9)
    server = Flooded(options=options)
    answer = server.open()
    assert find(answer.options, WindowScale).shift == 0
    assert find(answer.options, MaximumSegmentSize).mss == 600
    assert (answer.window, answer.traffic_class, answer.hop_limit) == (9000, 0x20, 9)
    server.finish(answer)
    assert server.connection().window_shift == 0


def test_nothing_is_kept_for_a_syn() -> None:
    server = Flooded()
    for number in range(1000):
        server.stranger(100 + number)
    assert len(server.endpoint._connections) == 10


def test_data_may_come_with_the_third_segment_or_instead_of_it() -> None:
    server = Flooded()
    answer = server.open()
    server.finish(answer, b"data")
    connection = server.connection()
    assert connection is not None
    assert connection.read(10) == b"data"


def test_what_the_options_were() -> None:
    for flags, options, expected in (
        (SYN | ECE | CWR, LINUX, 1 | 2 | 4 | 8),
        (SYN, LINUX[:2], 0),  # a cookie without timestamps has no room for them
        (SYN, (LINUX[0], LINUX[2]), 1),
        (SYN, (*LINUX[:3], WindowScale(0)), 1 | 2 | 4),
    ):
        server = Flooded()
        server.finish(server.open(flags, options))
        connection = server.connection()
        assert connection is not None
        assert connection.info()["options"] == expected


@pytest.mark.parametrize("mss", [64, 100, 536, 1300, 1460, 9000, None])
def test_a_peers_mss_is_never_exceeded(mss: int | None) -> None:
    server = Flooded(TcpConfig(timestamps=False))
    server.finish(server.open(options=(MaximumSegmentSize(mss),) if mss else ()))
    connection = server.connection()
    assert connection is not None
    assert connection.mss <= (mss or 536)
    assert connection.mss >= min(1460, mss or 536) * 0.55


def test_a_peer_whose_mss_is_too_small_waits_for_a_place() -> None:
    server = Flooded()
    assert server.send(SYN, 99, options=(MaximumSegmentSize(20),)) == []


def test_a_cookie_is_for_one_peer_and_not_for_long() -> None:
    server = Flooded()
    answer = server.open()
    stamp = (Timestamps(80, 0),)
    (refusal,) = server.send(ACK, 100, answer.seq + 1, stamp, source=STRANGER)
    assert refusal.flags & RST
    (refusal,) = server.send(ACK, 101, answer.seq + 1, stamp)
    assert refusal.flags & RST
    (refusal,) = server.send(ACK, 100, answer.seq + 2, stamp)
    assert refusal.flags & RST
    server.now += 200 * SECOND
    server.stranger(77)
    (refusal,) = server.send(ACK, 100, answer.seq + 1, stamp)
    assert refusal.flags & RST
    assert server.connection() is None


def test_a_cookie_counts_only_when_the_backlog_was_full_of_late() -> None:
    """Otherwise a guess would succeed with a chance of 1 in 2**24 at any time."""
    server = TcpEndpoint(TcpConfig(), b"s" * 16)
    server.listen(SERVER)
    rng = random.Random(1)
    for _ in range(1000):
        segment = Segment(
            source=FLOW.local, destination=SERVER, seq=rng.getrandbits(32),
            ack=rng.getrandbits(32), flags=ACK, window=1,
        )  # fmt: skip
        server.receive(segment, 1000 * SECOND)
        (refusal,) = server.segments_to_send(1000 * SECOND)
        assert refusal.flags & RST


def test_the_timestamp_never_runs_ahead() -> None:
    server = Flooded()
    connection_clock = []
    for _ in range(100):
        answer = server.open()
        connection_clock.append(find(answer.options, Timestamps).value)
        server.now += 13 * MS
    steps = [(b - a) & 0xFFFF_FFFF for a, b in itertools.pairwise(connection_clock)]
    assert all(step < 200 for step in steps)
    server.finish(server.open())
    connection = server.connection()
    assert connection is not None
    connection.send(b"x")
    (data,) = server.out()
    assert (find(data.options, Timestamps).value - connection_clock[-1]) & 0xFFFF_FFFF < 200


def test_they_can_be_switched_off() -> None:
    server = Flooded(TcpConfig(syn_cookies=False))
    assert server.send(SYN, 99) == []


def test_what_rides_on_it() -> None:
    recorder = Recorder()
    acceptor = OneAcceptor(recorder)
    server = Flooded(TcpConfig(), acceptor)
    answer = server.open()
    assert answer.options[-1] == SIGNAL
    server.finish(answer)
    connection = server.connection()
    assert connection is not None
    assert connection.extension is recorder
    assert recorder.heard == [("", 0)]


def test_what_rides_on_it_can_refuse() -> None:
    acceptor = OneAcceptor(NoExtension())
    server = Flooded(TcpConfig(), acceptor)
    answer = server.open()
    acceptor.refuse = Refuse("no", (SIGNAL,))
    (refusal,) = server.finish(answer)
    assert refusal.flags & RST
    assert refusal.options == (SIGNAL,)
    assert server.send(SYN, 99) == []


def test_honest_clients_get_through_a_flood() -> None:
    network = Network()
    network.server.listen(SERVER, RIDING.acceptor(), backlog=5)
    for port in range(1, 200):
        syn = Segment(
            source=STRANGER._replace(port=port), destination=SERVER, seq=port, flags=SYN,
            window=100, options=LINUX,
        )  # fmt: skip
        network.server.receive(syn, network.now)
    network.server.segments_to_send(network.now)
    clients = [
        network.client.connect(Flow(Address("10.0.0.1", port), SERVER), network.now)
        for port in range(1000, 1020)
    ]
    pumps = [Pump(network, client, b"ping" * 500) for client in clients]

    def done() -> bool:
        for pump in pumps:
            pump.work()
        served = {
            connection.flow.remote: connection
            for connection, event in network.events[network.server]
            if isinstance(event, Connected)
        }
        return len(served) == 20 and all(c.readable == 2000 for c in served.values())

    network.run(done, 60 * SECOND)
