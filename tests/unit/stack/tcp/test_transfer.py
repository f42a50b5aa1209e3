"""On any wire, the octets arrive whole and in order, and every transfer ends."""

from __future__ import annotations

import random
from typing import Any

import pytest

from testbed.packet.segment import FIN, SYN, Segment
from testbed.stack.connection import Closed
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.state import State

from .network import FLOW, MS, SECOND, Network, Pump, transfer
from .riding import RIDING


def random_settings(rng: random.Random) -> dict[str, Any]:
    """Return settings of one side that work but need not go well together."""
    return {
        "timestamps": rng.random() < 0.7,
        "sack": rng.random() < 0.7,
        "window_scaling": rng.random() < 0.7,
        "ecn": rng.random() < 0.3,
        "nagle": rng.random() < 0.7,
        "gso": rng.random() < 0.4,
        "mtu": rng.choice([1500, 1500, 576, 9000]),
        "send_buffer": rng.choice([1 << 20, 20_000, 3_000]),
        "receive_buffer": rng.choice([1 << 20, 40_000, 5_000]),
        "congestion": rng.choice(["bbr", "cubic", "dctcp", "reno"]),
        "pacing": rng.random() < 0.2,
        "receive_buffer_initial": rng.choice([0, 0, 2000]),
    }


def random_wire(rng: random.Random) -> dict[str, Any]:
    """Return a wire that is bad in some ways."""
    return {
        "delay": rng.choice([0, 1, 10, 100]) * MS,
        "loss": rng.choice([0.0, 0.0, 0.01, 0.05, 0.2]),
        "duplication": rng.choice([0.0, 0.02, 0.3]),
        "jitter": rng.choice([0, 0, 1, 20, 200]) * MS,
        "rate": rng.choice([0, 0, 5_000_000, 100_000_000]),
        "queue": rng.choice([5, 20, 100]),
    }


@pytest.mark.parametrize("seed", range(40))
def test_it_arrives_whole_whatever_the_wire_does(seed: int) -> None:
    rng = random.Random(seed)
    network = Network(
        TcpConfig(**random_settings(rng)),
        TcpConfig(**random_settings(rng)),
        seed=seed,
        **random_wire(rng),
    )
    there = rng.randbytes(rng.choice([0, 1, 3000, 60_000, 200_000]))
    back = rng.randbytes(rng.choice([0, 1, 3000, 60_000]))
    first, second = transfer(network, there, back)
    assert bytes(second.received) == there
    assert bytes(first.received) == back
    network.run_for(400 * SECOND)
    assert first.connection.state is State.CLOSED
    assert second.connection.state is State.CLOSED
    assert network.client.next_timer() is None
    assert network.server.next_timer() is None


def test_a_clean_wire_needs_no_retransmission() -> None:
    data = random.Random(7).randbytes(2_000_000)
    network = Network()
    first, second = transfer(network, data)
    assert bytes(second.received) == data
    assert first.connection.info()["total_retrans"] == 0
    assert network.now < 3 * SECOND


def test_octets_sent_again_are_counted() -> None:
    network = Network(TcpConfig(gso=False), TcpConfig(gso=False), seed=3, loss=0.05)
    first, _ = transfer(network, random.Random(7).randbytes(500_000))
    info = first.connection.info()
    assert info["total_retrans"] > 10
    assert 0.9 * info["snd_mss"] < info["bytes_retrans"] / info["total_retrans"] <= 1460


def test_a_link_is_filled() -> None:
    """A queue of one bandwidth-delay product keeps it busy through recovery."""
    data = random.Random(7).randbytes(6_000_000)
    network = Network(rate=20_000_000, delay=20 * MS, queue=100)
    start = network.now
    first, second = transfer(network, data)
    goodput = len(second.received) * 8 * SECOND / (network.now - start)
    assert goodput > 0.9 * 20_000_000 * 1448 / 1514
    assert first.connection.info()["total_rto"] == 0


def test_the_same_seed_gives_the_same_segments() -> None:
    def transcript() -> list[str]:
        network = Network(seed=5, loss=0.05, jitter=3 * MS)
        transfer(network, bytes(50_000), bytes(20_000))
        return [f"{when} {segment}" for when, segment in network.transcript]

    assert transcript() == transcript()


@pytest.mark.parametrize("blackout_at", [1, 5, 20, 40])
def test_a_peer_that_vanishes_is_noticed(blackout_at: int) -> None:
    """Whenever it happens, both sides end with an error, and no timer stays behind."""
    left = [blackout_at]

    def keep(segment: Segment) -> bool:
        left[0] -= 1
        return left[0] > 0

    config = TcpConfig(keepalive=True, keepalive_idle_ns=30 * SECOND)
    network = Network(config, keep=keep)
    network.server.listen(FLOW.remote, RIDING.acceptor())
    client = network.client.connect(FLOW, network.now, RIDING.extension())
    pump = Pump(network, client, bytes(500_000))
    for _ in range(3000):
        pump.work()
        network.run_for(SECOND)
    ended = network.ended(client)
    assert isinstance(ended, Closed)
    assert ended.failure is not None
    assert network.client.next_timer() is None
    assert network.server.next_timer() is None


@pytest.mark.parametrize("seconds", [0.1, 1, 5, 40])
@pytest.mark.parametrize("direction", ["there", "back", "both"])
def test_an_outage_is_survived(seconds: float, direction: str) -> None:
    """The transfer continues with the next retransmission: at most as long again as the outage."""
    begin = SECOND + 300 * MS
    end = begin + round(seconds * SECOND)

    def keep(segment: Segment) -> bool:
        there = segment.source == FLOW.local
        hit = direction == "both" or there == (direction == "there")
        return not (hit and begin <= network.now < end)

    network = Network(rate=20_000_000, keep=keep)
    data = random.Random(1).randbytes(2_000_000)
    _, second = transfer(network, data)
    assert bytes(second.received) == data
    assert network.now < end + (end - begin) + 3 * SECOND


def test_a_lost_fin_and_a_lost_last_ack() -> None:
    dropped = set()

    def keep(segment: Segment) -> bool:
        kind = (segment.source, bool(segment.flags & FIN), bool(segment.flags & SYN))
        if kind in dropped or not segment.flags & (FIN | SYN):
            return True
        dropped.add(kind)
        return False

    network = Network(keep=keep)
    first, second = transfer(network, b"there", b"back")
    assert bytes(second.received) == b"there"
    assert bytes(first.received) == b"back"
    assert len(dropped) == 4
