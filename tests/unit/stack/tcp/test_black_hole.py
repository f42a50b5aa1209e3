"""A path that drops large packets and says nothing: RFC 4821, section 7.7."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from testbed.packet.address import Address, Flow
from testbed.packet.icmp import IcmpError, IcmpKind
from testbed.packet.segment import Segment
from testbed.stack.tcp.black_hole import BlackHole
from testbed.stack.tcp.config import TcpConfig

from .network import FLOW, SECOND, Network, Pump

PROBING = TcpConfig(mtu_probing=True)
DATA = bytes(200_000)


class Hole:
    """Drops segments with more than so many octets of payload."""

    def __init__(self, largest: int) -> None:
        self.largest = largest

    def __call__(self, segment: Segment) -> bool:
        return len(segment.payload) <= self.largest


def sending(largest: int, config: TcpConfig = PROBING, **options: Any) -> tuple[Network, Any, Any]:
    """Return a network, a sender that has begun, and the reader."""
    network = Network(config, keep=Hole(largest), **options)
    client, server = network.connect()
    client.send(DATA)
    return network, client, Pump(network, server, b"")


def passed(network: Network, reader: Pump, seconds: float) -> int:
    """Let time pass; return how much has arrived."""
    for _ in range(int(seconds * 10)):
        network.run_for(SECOND // 10)
        reader.work()
    return len(reader.received)


@pytest.mark.parametrize(
    "options", [{}, {"gso": True}, {"sack": False}, {"congestion": "bbr"}, {"pacing": True}]
)
def test_a_transfer_goes_on_with_smaller_packets(options: dict[str, Any]) -> None:
    config = msgspec.structs.replace(PROBING, **options)
    network, client, reader = sending(1200, config)
    assert passed(network, reader, 6) == len(DATA)
    assert client.info()["pmtu"] == 1024


def test_unless_asked_for_it_does_not() -> None:
    network, client, reader = sending(1200, TcpConfig())
    assert passed(network, reader, 6) == 0
    assert client.info()["pmtu"] == 1500


def test_packets_get_smaller_with_each_further_timeout() -> None:
    network, client, reader = sending(300)
    assert passed(network, reader, 30) == len(DATA)
    assert client.info()["pmtu"] == 256


def test_not_below_what_ipv6_guarantees() -> None:
    flow = Flow(Address("fd00::1", 4000), Address("fd00::2", 80))
    network = Network(PROBING, keep=Hole(500))
    client, _ = network.connect(flow=flow)
    client.send(DATA)
    network.run_for(60 * SECOND)
    assert client.info()["pmtu"] == 1280


def test_a_small_packet_without_an_answer_says_nothing() -> None:
    network = Network(PROBING, keep=Hole(0))
    client, _ = network.connect()
    client.send(b"x" * 500)
    network.run_for(10 * SECOND)
    assert client.info()["retransmits"] >= 3
    assert client.info()["pmtu"] == 1500


def test_a_path_that_was_only_down_gets_its_large_packets_back() -> None:
    """After ten minutes, whether or not anything is sent meanwhile."""
    network, client, reader = sending(0)
    assert passed(network, reader, 3) == 0
    assert client.info()["pmtu"] < 1500
    network.keep = None
    assert passed(network, reader, 10) == len(DATA)
    network.run_for(580 * SECOND)
    assert client.info()["pmtu"] < 1500
    network.run_for(20 * SECOND)
    assert client.info()["pmtu"] == 1500
    client.send(DATA)
    passed(network, reader, 2)
    assert client.idle
    assert client.next_timer() > network.now + 3600 * SECOND


def test_what_a_router_says_counts_from_then_on() -> None:
    network, client, reader = sending(1200)
    passed(network, reader, 6)
    client.send(DATA)
    network.flush()
    seq = (client.sender.base + client.sender.una) & 0xFFFF_FFFF
    client.receive_icmp(IcmpError(kind=IcmpKind.TOO_BIG, flow=FLOW, seq=seq, mtu=800))
    network.keep = None
    network.run_for(700 * SECOND)
    assert client.info()["pmtu"] == 800


def test_a_connection_that_is_over_tries_nothing_again() -> None:
    network, client, reader = sending(1200)
    passed(network, reader, 6)
    client.abort()
    assert client.next_timer() > network.now + 3600 * SECOND


def test_the_sizes() -> None:
    """1024 first, then a half of the one before, down to 68."""
    hole = BlackHole()
    assert hole.shrink(9000, 9000, 4, 2, SECOND) == 9000
    sizes, mtu = [], 9000
    for timeouts in range(3, 9):
        mtu = hole.shrink(mtu, mtu, 4, timeouts, SECOND)
        sizes.append(mtu)
    assert sizes == [1024, 512, 256, 128, 68, 68]
    assert hole.at == 601 * SECOND
    assert hole.retry() == 9000
