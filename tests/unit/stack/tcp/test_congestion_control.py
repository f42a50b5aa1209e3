"""RFC 5681 and RFC 9438, without a network."""

from __future__ import annotations

import itertools

import pytest

from testbed.errors import InputError
from testbed.stack.tcp import congestion
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.congestion import CongestionControl
from testbed.stack.tcp.rtt import RttEstimator

MSS = 1000
SECOND = 1_000_000_000
RTT = SECOND // 10


def measured(rtt_ns: int) -> RttEstimator:
    """Return an estimator that has seen one round-trip time."""
    rtt = RttEstimator(TcpConfig())
    rtt.sample(rtt_ns, rtt_ns, SECOND, 0, 0)
    return rtt


def round_trip(control: CongestionControl, now: int) -> int:
    """Have a window's worth acknowledged, one segment after the other."""
    segments = control.cwnd // MSS
    for number in range(segments):
        control.acked(MSS, measured(RTT), now + number * RTT // segments, control.cwnd - MSS)
    return now + RTT


def test_the_registry() -> None:
    assert congestion.names() == ["cubic", "reno"]
    with pytest.raises(InputError, match="cubic, reno"):
        congestion.make("tahoe")


@pytest.mark.parametrize("name", ["cubic", "reno"])
def test_slow_start_then_halt_at_the_threshold(name: str) -> None:
    """RFC 5681, section 3.1."""
    control = congestion.make(name)
    control.start(MSS)
    assert control.cwnd == 10 * MSS
    now = round_trip(control, SECOND)
    assert control.cwnd == 20 * MSS
    control.timed_out(20 * MSS, now)
    assert control.cwnd == MSS
    while control.cwnd < control.ssthresh:
        now = round_trip(control, now)
    assert control.ssthresh <= control.cwnd <= control.ssthresh + MSS


def test_reno_halves_and_adds_one_segment_each_round_trip() -> None:
    """RFC 5681, section 3.1, equations 3 and 4."""
    control = congestion.make("reno")
    control.start(MSS)
    control.reduce(40 * MSS, SECOND)
    assert control.cwnd == 20 * MSS
    now = SECOND
    for number in range(10):
        now = round_trip(control, now)
        assert control.cwnd == (21 + number) * MSS


def test_cubic_goes_back_to_where_it_was_along_the_cubic() -> None:
    """RFC 9438, section 4.2: K = cbrt((W_max - cwnd) / C) seconds after the reduction."""
    control = congestion.make("cubic")
    control.start(MSS)
    control.cwnd = 1000 * MSS
    control.reduce(1000 * MSS, 0)
    assert control.cwnd == 700 * MSS
    k = (300 / 0.4) ** (1 / 3)
    now = 0
    sizes = {}
    while now < 2 * k * SECOND:
        sizes[now] = control.cwnd / MSS
        now = round_trip(control, now)
    near_k = min(sizes, key=lambda at: abs(at - k * SECOND))
    assert sizes[near_k] == pytest.approx(1000, rel=0.01)
    half = min(sizes, key=lambda at: abs(at - k * SECOND / 2))
    assert sizes[half] == pytest.approx(1000 - 300 / 8, rel=0.02)
    assert control.cwnd / MSS == pytest.approx(1300, rel=0.03)  # convex after K


def test_cubic_is_never_slower_than_reno_on_short_paths() -> None:
    """RFC 9438, section 4.3: the Reno-friendly region."""
    control = congestion.make("cubic")
    control.start(MSS)
    control.cwnd = 10 * MSS
    control.reduce(10 * MSS, 0)
    now = 0
    rtt = measured(RTT // 100)
    for _ in range(30):
        segments = control.cwnd // MSS
        for _ in range(segments):
            control.acked(MSS, rtt, now, control.cwnd - MSS)
        now += RTT // 100
    assert control.cwnd >= 7 * MSS + 0.5 * 30 * MSS


def test_cubic_converges_fast() -> None:
    """RFC 9438, section 4.7: a flow that is losing ground leaves room."""
    control = congestion.make("cubic")
    control.start(MSS)
    control.cwnd = 100 * MSS
    control.reduce(100 * MSS, 0)
    first = control.w_max  # type: ignore[attr-defined]
    control.reduce(70 * MSS, SECOND)
    assert control.w_max == pytest.approx(70 * 1.7 / 2)  # type: ignore[attr-defined]
    assert first == 100


@pytest.mark.parametrize("name", ["cubic", "reno"])
def test_a_reduction_can_be_taken_back(name: str) -> None:
    """RFC 9438, section 4.9."""
    control = congestion.make(name)
    control.start(MSS)
    control.cwnd = 100 * MSS
    control.timed_out(100 * MSS, SECOND)
    control.undo()
    assert control.cwnd == 100 * MSS
    assert control.ssthresh > 1 << 30


@pytest.mark.parametrize("name", ["cubic", "reno"])
def test_there_is_a_least_window(name: str) -> None:
    control = congestion.make(name)
    control.start(MSS)
    for number in range(20):
        control.reduce(MSS, number * SECOND)
    assert control.cwnd == 2 * MSS
    assert control.ssthresh == 2 * MSS


def test_hystart_leaves_slow_start_when_the_round_trips_grow() -> None:
    """RFC 9406, section 4.2: conservative slow start for five rounds, then none."""
    control = congestion.make("cubic")
    control.start(MSS)
    now, rtt = SECOND, 40_000_000
    sizes = []
    while control.ssthresh > 1 << 30:
        for _ in range(control.cwnd // MSS):
            control.acked(MSS, measured(rtt), now, control.cwnd - MSS)
        now += rtt
        sizes.append(control.cwnd // MSS)
        if len(sizes) >= 3:
            rtt += 6_000_000
        assert len(sizes) < 20
    assert sizes[:3] == [20, 40, 80]
    assert all(after / before < 1.3 for before, after in itertools.pairwise(sizes[4:]))
    assert control.ssthresh <= control.cwnd <= control.ssthresh + 2 * MSS


def test_hystart_counts_rounds_by_what_is_in_flight() -> None:
    """RFC 9406, section 4.2: a round ends with what SND.NXT was at its beginning."""
    control = congestion.make("cubic")
    control.start(MSS)
    control.cwnd = 1000 * MSS
    for rtt in (40, 40, 60):
        for _ in range(20):
            before = control.cwnd
            control.acked(MSS, measured(rtt * 1_000_000), SECOND, 19 * MSS)
    assert control.cwnd - before == MSS // 4


def test_hystart_goes_on_when_the_round_trips_fall_again() -> None:
    """RFC 9406, section 4.2."""
    control = congestion.make("cubic")
    control.start(MSS)
    for rtt in (40, 40, 60, 40, 40, 40, 40, 40, 40):
        for _ in range(control.cwnd // MSS):
            control.acked(MSS, measured(rtt * 1_000_000), SECOND, control.cwnd - MSS)
    assert control.ssthresh > 1 << 30
    assert control.cwnd > 1000 * MSS
