"""Whole connections between two of our endpoints."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from testbed.packet.address import Address
from testbed.packet.mptcp import MptcpOption
from testbed.packet.segment import SYN, Segment
from testbed.stack.mptcp.rooms import Rooms
from testbed.stack.mptcp.scheduler import SCHEDULERS
from testbed.stack.tcp.config import TcpConfig

S = 1_000_000_000
DATA = random.Random(7).randbytes(2_000_000)


def transfer(net: Any, *, up: bytes = DATA, down: bytes = DATA[::-1], seconds: float = 60) -> Any:
    """Send both ways at once, and check what arrived."""
    net.server.endpoint.listen(_any(net))
    connection = net.connect()
    net.client.connections.append(connection)
    net.client.send(connection, up)
    accepted: list[Any] = []

    def done() -> bool:
        if net.server.connections and not accepted:
            accepted.append(net.server.connections[0])
            net.server.send(accepted[0], down)
        return bool(accepted) and connection.closed and accepted[0].closed

    net.run(seconds, done)
    assert accepted, "nobody connected"
    assert bytes(net.server.received[accepted[0]]) == up
    assert bytes(net.client.received[connection]) == down
    assert net.client.failure(connection) == ""
    assert net.server.failure(accepted[0]) == ""
    return connection


def _any(net: Any) -> Any:
    return Address("::" if ":" in net.client.hosts[0] else "0.0.0.0", 80)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("paths", [1, 2, 4])
def test_transfer_both_ways(network: Any, paths: int, family: int) -> None:
    net = network(paths, family=family)
    info = transfer(net).info()
    subflows = [one["tcp"] for one in (*info["ended"], *info["subflows"])]
    assert len(subflows) == paths
    assert sum(tcp["bytes_acked"] for tcp in subflows) >= len(DATA)
    assert net.client.tracer.count("sub_established") == paths - 1
    assert net.server.tracer.count("sub_established") == paths - 1


@pytest.mark.parametrize(
    ("manager", "scheduler"),
    [("fullmesh", "minrtt"), *(("kernel_like", name) for name in SCHEDULERS.own())],
)
def test_transfer_under_loss(network: Any, manager: str, scheduler: str) -> None:
    net = network(2, path_manager=manager, scheduler=scheduler)
    for number in (0, 1):
        for path in net.path(number):
            path.loss = 0.02
    transfer(net)


@pytest.mark.interpreted
@pytest.mark.parametrize("scheduler", ["earliest", "linux", "redundant"])
def test_rooms_are_counted_down_to_what_subflows_would_say(
    network: Any, monkeypatch: pytest.MonkeyPatch, scheduler: str
) -> None:
    given, asked = Rooms.given, []

    def checked(rooms: Rooms, subflow: Any, octets: int) -> None:
        given(rooms, subflow, octets)
        assert rooms._left == Rooms(rooms.working)._left  # otherwise the connection ends
        asked.append(octets)

    monkeypatch.setattr(Rooms, "given", checked)
    net = network(2, scheduler=scheduler)
    for path in net.path(1):
        path.loss = 0.02
    transfer(net, up=DATA[:300_000], down=DATA[:9])
    assert sum(asked) >= 300_000


def test_a_small_window_is_spread_over_all_paths(network: Any) -> None:
    """Twice what fits into four paths suffices for them: the queue of one must not take it all."""
    net = network(4, receive_buffer=256_000)
    for number in range(4):
        for path in net.path(number):
            path.rate, path.delay_ns = 10_000_000, (number + 1) * 5_000_000
            path.limit_ns = S  # limit of the queue
    data = DATA * 2
    transfer(net, up=data, down=b"x")
    assert len(data) * 8 * S / net.now > 0.75 * 40_000_000


@pytest.mark.parametrize("slower_ns", [10_000_000, 50_000_000])
def test_reinjection_because_of_the_window_is_rare(network: Any, slower_ns: int) -> None:
    """RFC 8684, section 3.3.6: data does not come sooner by a slow subflow, or by a busy one."""
    net = network(2, receive_buffer=100_000)
    for number, delay_ns in ((0, 5_000_000), (1, slower_ns)):
        for path in net.path(number):
            path.delay_ns = delay_ns
    connection = transfer(net, down=b"x")
    assert connection.sender.reinjected < len(DATA) // 20


def test_simultaneous_close_without_delay(network: Any) -> None:
    """RFC 8684, appendix D: it takes a few segments; ACKs do not answer one another."""
    net = network(2)
    for number in (0, 1):
        for path in net.path(number):
            path.delay_ns, path.rate = 0, None
    transfer(net, up=b"x", down=b"y")
    assert len(net.sent) < 40


@pytest.mark.parametrize("scheduler", ["earliest", "daps", "otias", "redundant"])
@pytest.mark.parametrize("data", [False, True])
def test_transfer_after_a_fallback(network: Any, data: bool, scheduler: str) -> None:
    """RFC 8684, section 3.7: options vanish on SYNs, or on all that follows the handshake."""
    net = network(2, scheduler=scheduler)

    def strip(segment: Segment) -> tuple[Segment, ...]:
        if bool(segment.flags & SYN) is data:
            return (segment,)
        rest = tuple(one for one in segment.options if not isinstance(one, MptcpOption))
        return (msgspec.structs.replace(segment, options=rest),)

    for path in net.path(0):
        path.filter = strip
    connection = transfer(net)
    assert connection.info()["fallback"]
    assert net.server.tracer.count("sub_established") == 0


@pytest.mark.parametrize("loss", [0.0, 0.05])
@pytest.mark.parametrize("octets", [100, 1000, 3000])
def test_a_send_buffer_smaller_than_a_segment(network: Any, octets: int, loss: float) -> None:
    """A mapping covers what TCP has taken, and nothing waits for room that never comes."""
    tcp = TcpConfig(send_buffer=octets)
    net = network(2, tcp=tcp, send_buffer=2 * octets, receive_buffer=4000)
    for path in (*net.path(0), *net.path(1)):
        path.loss = loss
    transfer(net, up=DATA[:30_000], down=DATA[:20_000], seconds=600)


def _goodput(network: Any, buffer: int, scheduler: str, **options: Any) -> tuple[float, int]:
    """Return Mbit/s over 20 and 2 Mbit/s, the latter with a queue of 2 s, and what came twice."""
    net = network(2, server={"receive_buffer": buffer}, scheduler=scheduler, **options)
    for number, rate, limit_ns in ((0, 20_000_000, S // 10), (1, 2_000_000, 2 * S)):
        for path in net.path(number):
            path.rate, path.limit_ns = rate, limit_ns
    net.server.endpoint.listen(_any(net))
    connection = net.connect()
    net.client.connections.append(connection)
    net.client.send(connection, bytes(6_000_000))
    net.run(60, lambda: sum(map(len, net.server.received.values())) == 6_000_000)
    return 6_000_000 * 8 / (net.now / S) / 1e6, connection.sender.reinjected


@pytest.mark.parametrize("buffer", [100_000, 200_000, 400_000, 1_000_000])
def test_a_slow_path_with_a_long_queue_takes_nothing_away(network: Any, buffer: int) -> None:
    """The better path alone has 18.9 Mbit/s, with any buffer of the receiver."""
    assert _goodput(network, buffer, "earliest")[0] > 18.9


def test_what_holds_the_window_up_is_sent_again(network: Any) -> None:
    """Section 3.3.6, with a scheduler that fills the slow path's queue."""
    goodput, reinjected = _goodput(network, 400_000, "minrtt")
    assert reinjected > 100_000
    assert goodput > 11


def test_nothing_is_sent_again_because_of_the_window_where_that_is_switched_off(
    network: Any,
) -> None:
    goodput, reinjected = _goodput(network, 400_000, "minrtt", opportunistic_retransmission=False)
    assert reinjected == 0
    assert goodput < _goodput(network, 400_000, "minrtt")[0]


def test_a_subflow_that_holds_the_window_up_is_slowed_down(network: Any) -> None:
    """C. Raiciu et al., NSDI 2012, mechanism 2: what it has in its queue gets less."""
    alone, _ = _goodput(network, 400_000, "minrtt", opportunistic_retransmission=False)
    penalised, reinjected = _goodput(
        network, 400_000, "minrtt", opportunistic_retransmission=False, penalisation=True
    )
    assert reinjected == 0
    assert penalised > 1.2 * alone
    both, _ = _goodput(network, 400_000, "minrtt", penalisation=True)
    assert both > 1.2 * _goodput(network, 400_000, "minrtt")[0]


@pytest.mark.parametrize("scheduler", sorted(set(SCHEDULERS.own()) - {"redundant"}))
def test_equal_paths_are_filled(network: Any, scheduler: str) -> None:
    net = network(2, scheduler=scheduler)
    transfer(net, up=DATA * 2, down=b"x")
    assert len(DATA) * 2 * 8 * S / net.now > 0.75 * 40_000_000


def test_redundant_sends_everything_on_every_path(network: Any) -> None:
    net = network(2, scheduler="redundant")
    connection = transfer(net, down=b"x")
    info = connection.info()
    carried = [one["tcp"]["bytes_acked"] for one in info["ended"] + info["subflows"]]
    assert min(carried) > 0.9 * len(DATA)


@pytest.mark.parametrize("checksum", [False, True])
def test_all_paths_drop_large_packets_and_do_not_say_so(network: Any, checksum: bool) -> None:
    """RFC 4821, section 7.7; mappings that are on their way stay whole."""
    net = network(2, tcp=TcpConfig(mtu_probing=True), checksum=checksum)
    for number in (0, 1):
        for path in net.path(number):
            path.filter = lambda segment: (segment,) if len(segment.payload) <= 1000 else ()
    transfer(net, up=DATA[:300_000], down=DATA[:100_000])
