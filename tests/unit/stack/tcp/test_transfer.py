from __future__ import annotations

import random

import pytest

from .network import MS, SECOND, Network, transfer


@pytest.mark.parametrize("seed", range(8))
def test_it_arrives_whole_whatever_the_wire_does(seed: int) -> None:
    rng = random.Random(seed)
    there, back = rng.randbytes(300_000), rng.randbytes(120_000)
    network = Network(seed=seed, loss=0.03, duplication=0.02, jitter=5 * MS)
    first, second = transfer(network, there, back)
    assert bytes(second.received) == there
    assert bytes(first.received) == back


def test_a_clean_wire_needs_no_retransmission() -> None:
    data = random.Random(7).randbytes(2_000_000)
    network = Network(rate=0)
    first, second = transfer(network, data)
    assert bytes(second.received) == data
    assert first.connection.info()["total_retrans"] == 0
    assert network.now < 3 * SECOND
