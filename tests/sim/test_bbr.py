"""BBR: what it was invented for, with whole connections in virtual time.

Some of the tests are those of appendix A of draft-ietf-ccwg-bbr-06.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from testbed.campaign import runner
from testbed.experiment.load import load
from testbed.experiment.overrides import Overrides
from testbed.experiment.venue import Assignment, venue
from testbed.results.model import RunRecord, Status
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.congestion.bbr.cycle import State
from tests.bottleneck import GOODPUT, MBIT, MS, SECOND, Bottleneck

BBR = TcpConfig(congestion="bbr")
EXPERIMENT = """\
topology:
  nodes: {client: {}, server: {}}
  links:
    wifi: {between: [client, server], netem: {rate: 8mbit, delay: 10ms, limit: 300}}
    lte: {between: [client, server], netem: {rate: 4mbit, delay: 20ms, limit: 300}}
stacks: [userspace(congestion=bbr)]
workload: {kind: bulk, from: client, to: server, size: 1500KB}
repetitions: 1
"""


def states(network: Bottleneck, sender: Any, seconds: float) -> list[State]:
    """Return the states that a sender goes through."""
    seen: list[State] = []

    def watch() -> None:
        if sender.congestion.state not in seen[-1:]:
            seen.append(sender.congestion.state)

    network.fill(seconds, watch)
    return seen


def test_a_path_is_full_and_its_queue_is_short() -> None:
    """20 Mbit/s, 20 ms: the queue is about a bandwidth-delay product, where CUBIC fills it."""
    longest = {}
    for name in ("bbr", "cubic"):
        network = Bottleneck(TcpConfig(congestion=name), rate=20 * MBIT, queue=30 * MS)
        network.start()
        network.fill(0.5)
        (goodput,) = network.fill(1.7)
        assert goodput > 0.97 * 20 * MBIT * GOODPUT
        longest[name] = network.longest
    assert longest["bbr"] < 1.1 * 20 * MS
    assert longest["cubic"] > 30 * MS


@pytest.mark.parametrize(
    ("rate", "rtt", "seed"), [(5, 200, 1), (20, 20, 1), (20, 20, 2), (20, 20, 3)]
)
def test_one_percent_of_random_losses_does_not_slow_it_down(rate: int, rtt: int, seed: int) -> None:
    """83 and 34 segments fill the paths."""
    network = Bottleneck(BBR, rate=rate * MBIT, rtt=rtt * MS, loss=0.01, seed=seed)
    network.start()
    network.fill(1 + rtt / 200)
    (goodput,) = network.fill(5)
    assert goodput > 0.9 * rate * MBIT * GOODPUT


def test_two_flows_share_a_bottleneck() -> None:
    network = Bottleneck(BBR, rate=2 * MBIT, rtt=40 * MS)
    network.start()
    network.fill(2)
    network.start()
    network.fill(25)
    first, second = network.fill(5)
    assert 0.4 < first / (first + second) < 0.6
    assert first + second > 0.95 * 2 * MBIT * GOODPUT


def test_it_goes_through_its_states() -> None:
    """A.1, A.3, A.5, A.8: a start, a drained queue, and then probe after probe."""
    network = Bottleneck(BBR, rate=4 * MBIT)
    sender = network.start()
    start, *cycles = states(network, sender, 3)
    assert start is State.STARTUP
    probe = [State.CRUISE, State.REFILL, State.UP, State.DOWN]
    assert cycles[:9] == [State.DRAIN, *probe, *probe]


def test_the_start_ends_where_a_short_queue_loses_much() -> None:
    """Section 5.3.1.3."""
    network = Bottleneck(BBR, rate=8 * MBIT, rtt=40 * MS, queue=15 * MS)
    sender = network.start()
    network.fill(1)
    assert sender.congestion.model.long.known
    resent = sender.info()["total_retrans"]
    assert resent < 60
    (goodput,) = network.fill(1)
    assert goodput > 0.9 * 8 * MBIT * GOODPUT
    assert sender.info()["total_retrans"] - resent < 0.02 * 8 * MBIT / 8 / 1448


def test_the_shortest_round_trip_is_looked_for() -> None:
    """A.10: less than half of what fills the path is in flight for 200 ms, every 10 s."""
    network = Bottleneck(BBR, rate=2 * MBIT, rtt=60 * MS)
    sender = network.start()
    network.fill(9.9)
    windows, begun, ended = [], 0, 0
    while not ended:
        network.fill(0.01)
        if sender.congestion.state is State.PROBE_RTT:
            begun = begun or network.now
            windows.append(sender.cwnd)
        elif begun:
            ended = network.now
    assert begun < 11.5 * SECOND
    assert 200 * MS < ended - begun < 400 * MS
    assert max(windows) <= 0.5 * 2 * MBIT / 8 * 0.07
    assert sender.cwnd > 2 * max(windows)


@pytest.mark.parametrize(("before", "after", "seconds"), [(1, 10, 3), (10, 1, 8)])
def test_another_rate_is_found(before: int, after: int, seconds: int) -> None:
    """A.15 and A.16."""
    network = Bottleneck(BBR, rate=before * MBIT)
    network.start()
    network.fill(1)
    network.rate = after * MBIT
    network.fill(seconds)
    (goodput,) = network.fill(1)
    assert goodput > 0.9 * after * MBIT * GOODPUT
    assert network.longest < 60 * MS


def test_after_a_silence_it_goes_on_at_the_rate_it_knows() -> None:
    """Section 5.4: neither a slow start nor a burst."""
    network = Bottleneck(TcpConfig(congestion="bbr", send_buffer=1 << 18), rate=10 * MBIT)
    sender = network.start()
    network.fill(1)
    network.run(30)
    assert sender.idle
    network.fill(0.02)
    assert network.longest < 2 * MS
    (goodput,) = network.fill(0.2)
    assert goodput > 0.95 * 10 * MBIT * GOODPUT


def test_segments_leave_at_the_pace() -> None:
    """In any time, at most two segments more than the pacing rate lets go."""
    network = Bottleneck(BBR, rate=10 * MBIT)
    sender = network.start()
    network.fill(1)
    network.departures = departures = []
    rates = []
    for _ in range(100):
        network.fill(0.005)
        rates.append(sender.congestion.pacing_rate)
    ahead = 0.0
    last = departures[0][0]
    for at, octets in departures:
        ahead = max(0.0, ahead - (at - last) * max(rates) / SECOND) + octets - 66
        last = at
        assert ahead <= 3 * 1448


def test_marks_count_as_congestion() -> None:
    """Section 3.7: a queue that marks stays short, without a loss."""
    network = Bottleneck(
        TcpConfig(congestion="bbr", ecn=True), rate=10 * MBIT, rtt=40 * MS, mark=5 * MS
    )
    sender = network.start()
    network.fill(1)
    (goodput,) = network.fill(3)
    assert goodput > 0.9 * 10 * MBIT * GOODPUT
    assert network.longest < 25 * MS
    assert sender.info()["total_retrans"] == 0


def carried_out(text: str, folder: Path) -> RunRecord:
    """Run an experiment of one run."""
    (folder / "try.yaml").write_text(text)
    experiment = load(folder / "try.yaml", Overrides(machine="sim"))
    [run] = runner.plan(experiment)
    assignment = Assignment(
        spec=experiment.spec,
        scenario=experiment.scenario(run.cell),
        planned=run,
        directory=folder,
        on_progress=lambda _: None,
    )
    return venue("sim").run_once(assignment).record


def test_each_subflow_has_its_own(tmp_path: Path) -> None:
    """MPTCP fills both paths, and neither of their queues; what ran is read back."""
    record = carried_out(EXPERIMENT, tmp_path)
    assert (record.status, record.reason) == (Status.OK, None)
    [stack] = record.stacks.values()
    assert stack.used["source"]["congestion"] == "bbr"
    assert record.metrics["goodput"] > 0.8 * 12 * MBIT * GOODPUT
    assert record.metrics["wifi>server.queue_delay_p95"] < 0.03
    assert record.metrics["lte>server.queue_delay_p95"] < 0.06


def test_a_start_that_ended_for_nothing_is_resumed() -> None:
    """A.18: the losses turn out to be none."""
    network = Bottleneck(BBR, rate=10 * MBIT, rtt=100 * MS)
    sender = network.start()
    control = sender.congestion
    while sender.in_flight < 40 * 1448:
        network.fill(0.01)
    network.loss = 0.1
    while control.state is State.STARTUP:
        network.fill(0.02)
    assert control.model.long.known
    window = control.window
    control.on_undo()
    assert control.state is State.STARTUP
    assert not control.model.long.known
    assert control.window >= window
    network.loss = 0.0
    network.fill(1.5)
    (goodput,) = network.fill(0.5)
    assert goodput > 0.9 * 10 * MBIT * GOODPUT


def test_a_probe_that_ended_for_nothing_is_resumed() -> None:
    """Section 5.5.11.2."""
    network = Bottleneck(BBR, rate=4 * MBIT)
    control = network.start().congestion
    while control.state is not State.UP:
        network.fill(0.005)
    network.loss = 0.3
    while control.state is State.UP:
        network.fill(0.005)
    assert control.model.long.known
    control.on_undo()
    assert control.state is State.REFILL
    assert not control.model.long.known


def test_after_a_timeout_the_window_comes_back() -> None:
    """Section 5.6.4.4."""
    network = Bottleneck(BBR, rate=4 * MBIT)
    sender = network.start()
    network.fill(1)
    before = sender.congestion.window
    network.loss = 1.0
    network.fill(0.6)
    assert sender.info()["total_rto"] > 0
    assert sender.congestion.window == sender.mss
    network.loss = 0.0
    network.fill(1)
    assert sender.congestion.window > 0.8 * before
    (goodput,) = network.fill(1)
    assert goodput > 0.9 * 4 * MBIT * GOODPUT
