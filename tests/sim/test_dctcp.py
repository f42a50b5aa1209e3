"""DCTCP over a queue that marks above a threshold, with whole connections in virtual time."""

from __future__ import annotations

import pytest

from testbed.stack.tcp.config import TcpConfig
from tests.bottleneck import GOODPUT, MBIT, MS, Bottleneck

DCTCP = TcpConfig(congestion="dctcp")
# RFC 8257, section 3.1: more than a seventh of what fills the path, which is 20 ms of the rate.
MARK = 5 * MS


def test_the_queue_stays_at_the_threshold_and_the_path_is_full() -> None:
    network = Bottleneck(DCTCP, rate=10 * MBIT, mark=MARK)
    sender = network.start()
    network.fill(1.5)
    (goodput,) = network.fill(1.5)
    assert goodput > 0.98 * 10 * MBIT * GOODPUT
    assert MARK < network.longest < 2 * MARK
    assert sender.info()["total_retrans"] == 0
    assert 0 < sender.congestion.alpha < 0.5


def test_a_threshold_that_empties_the_path_for_reno_does_not_for_dctcp() -> None:
    """3 ms, a seventh of what fills the path."""
    parts = {}
    for name in ("dctcp", "reno"):
        network = Bottleneck(TcpConfig(congestion=name, ecn=True), rate=20 * MBIT, mark=3 * MS)
        network.start()
        network.fill(0.7)
        (goodput,) = network.fill(1)
        parts[name] = goodput / (20 * MBIT * GOODPUT)
    assert parts["dctcp"] > 0.98
    assert parts["reno"] < 0.8


def test_two_flows_share_the_path() -> None:
    network = Bottleneck(DCTCP, rate=4 * MBIT, mark=10 * MS)
    network.start()
    network.fill(1)
    network.start()
    network.fill(3)
    first, second = network.fill(3)
    assert 0.4 < first / (first + second) < 0.6


def test_losses_halve() -> None:
    """RFC 8257, section 3.5: without marks it is Reno."""
    done = {}
    for name in ("dctcp", "reno"):
        network = Bottleneck(TcpConfig(congestion=name, ecn=True), rate=10 * MBIT, loss=0.01)
        network.start()
        (done[name],) = network.fill(3)
    assert done["dctcp"] == pytest.approx(done["reno"], rel=0.05)
