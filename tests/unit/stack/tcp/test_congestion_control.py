"""RFC 5681 and RFC 9438, without a network."""

from __future__ import annotations

import itertools

import pytest

from testbed.errors import InputError
from testbed.stack.tcp.congestion import CONTROLS
from testbed.stack.tcp.congestion.control import CongestionControl, Group, Sample

MSS = 1000
SECOND = 1_000_000_000
RTT = SECOND // 10


def begun(name: str, segments: int = 10) -> CongestionControl:
    """Return a control with a window of so many segments."""
    control = CONTROLS[name](Group())
    control.start(MSS, segments)
    return control


def acked(control: CongestionControl, rtt: int, now: int, flight: int, **fields: bool) -> None:
    """Have a segment acknowledged."""
    control.on_ack(
        Sample(
            now=now,
            delivered=MSS,
            lost=0,
            growable=fields.get("growable", True),
            flight=flight,
            in_flight=flight,
            rtt=rtt,
            smoothed=rtt,
            minimum=rtt,
            rate=0,
            round=0,
            app_limited=False,
        )
    )


def round_trip(control: CongestionControl, now: int) -> int:
    """Have a window's worth acknowledged, one segment after the other."""
    segments = control.window // MSS
    for number in range(segments):
        acked(control, RTT, now + number * RTT // segments, control.window - MSS)
    return now + RTT


def test_the_registry() -> None:
    assert CONTROLS.names() == [
        "balia",
        "bbr",
        "coupled",
        "cubic",
        "dctcp",
        "ewtcp",
        "lia",
        "olia",
        "reno",
        "wvegas",
    ]
    with pytest.raises(InputError, match="cubic, dctcp, ewtcp"):
        CONTROLS["tahoe"]


@pytest.mark.parametrize("name", ["cubic", "reno"])
def test_a_window_that_was_not_the_limit_does_not_grow(name: str) -> None:
    """RFC 7661, section 4.2."""
    control = begun(name)
    for _ in range(20):
        acked(control, RTT, SECOND, MSS, growable=False)
    assert control.window == 10 * MSS


@pytest.mark.parametrize("name", ["cubic", "reno"])
def test_slow_start_then_halt_at_the_threshold(name: str) -> None:
    """RFC 5681, section 3.1."""
    control = begun(name)
    assert control.window == 10 * MSS
    now = round_trip(control, SECOND)
    assert control.window == 20 * MSS
    control.on_timeout(20 * MSS, now, again=False)
    assert control.window == MSS
    while control.window < control.threshold:
        now = round_trip(control, now)
    assert control.threshold <= control.window <= control.threshold + MSS


@pytest.mark.requirement("RFC 9293", "MUST-19")
def test_reno_halves_and_adds_one_segment_each_round_trip() -> None:
    """RFC 5681, section 3.1, equations 3 and 4."""
    control = begun("reno")
    control.on_loss(40 * MSS, SECOND)
    assert control.window == 20 * MSS
    now = SECOND
    for number in range(10):
        now = round_trip(control, now)
        assert control.window == (21 + number) * MSS


@pytest.mark.requirement("RFC 9293", "MAY-18")
def test_cubic_goes_back_to_where_it_was_along_the_cubic() -> None:
    """RFC 9438, section 4.2: K = cbrt((W_max - cwnd) / C) seconds after the reduction."""
    control = begun("cubic", 1000)
    control.on_loss(1000 * MSS, 0)
    assert control.window == 700 * MSS
    k = (300 / 0.4) ** (1 / 3)
    now = 0
    sizes = {}
    while now < 2 * k * SECOND:
        sizes[now] = control.window / MSS
        now = round_trip(control, now)
    near_k = min(sizes, key=lambda at: abs(at - k * SECOND))
    assert sizes[near_k] == pytest.approx(1000, rel=0.01)
    half = min(sizes, key=lambda at: abs(at - k * SECOND / 2))
    assert sizes[half] == pytest.approx(1000 - 300 / 8, rel=0.02)
    assert control.window / MSS == pytest.approx(1300, rel=0.03)  # convex after K


@pytest.mark.requirement("RFC 9293", "MAY-18")
def test_cubic_is_never_slower_than_reno_on_short_paths() -> None:
    """RFC 9438, section 4.3: the Reno-friendly region."""
    control = begun("cubic", 10)
    control.on_loss(10 * MSS, 0)
    now = 0
    rtt = RTT // 100
    for _ in range(30):
        segments = control.window // MSS
        for _ in range(segments):
            acked(control, rtt, now, control.window - MSS)
        now += RTT // 100
    assert control.window >= 7 * MSS + 0.5 * 30 * MSS


def test_cubic_converges_fast() -> None:
    """RFC 9438, section 4.7: a flow that is losing ground leaves room."""
    control = begun("cubic", 100)
    control.on_loss(100 * MSS, 0)
    first = control.w_max  # type: ignore[attr-defined]
    control.on_loss(70 * MSS, SECOND)
    assert control.w_max == pytest.approx(70 * 1.7 / 2)  # type: ignore[attr-defined]
    assert first == 100


@pytest.mark.parametrize("name", ["cubic", "reno"])
def test_a_reduction_can_be_taken_back(name: str) -> None:
    """RFC 9438, section 4.9."""
    control = begun(name, 100)
    control.on_timeout(100 * MSS, SECOND, again=False)
    control.on_undo()
    assert control.window == 100 * MSS
    assert control.threshold > 1 << 30


@pytest.mark.parametrize("name", ["cubic", "reno"])
def test_there_is_a_least_window(name: str) -> None:
    control = begun(name)
    for number in range(20):
        control.on_loss(MSS, number * SECOND)
    assert control.window == 2 * MSS
    assert control.threshold == 2 * MSS


def test_hystart_leaves_slow_start_when_the_round_trips_grow() -> None:
    """RFC 9406, section 4.2: conservative slow start for five rounds, then none."""
    control = begun("cubic")
    now, rtt = SECOND, 40_000_000
    sizes = []
    while control.threshold > 1 << 30:
        for _ in range(control.window // MSS):
            acked(control, rtt, now, control.window - MSS)
        now += rtt
        sizes.append(control.window // MSS)
        if len(sizes) >= 3:
            rtt += 6_000_000
        assert len(sizes) < 20
    assert sizes[:3] == [20, 40, 80]
    assert all(after / before < 1.3 for before, after in itertools.pairwise(sizes[4:]))
    assert control.threshold <= control.window <= control.threshold + 2 * MSS


def test_hystart_counts_rounds_by_what_is_in_flight() -> None:
    """RFC 9406, section 4.2: a round ends with what SND.NXT was at its beginning."""
    control = begun("cubic", 1000)
    for rtt in (40, 40, 60):
        for _ in range(20):
            before = control.window
            acked(control, rtt * 1_000_000, SECOND, 19 * MSS)
    assert control.window - before == MSS // 4


def test_hystart_goes_on_when_the_round_trips_fall_again() -> None:
    """RFC 9406, section 4.2."""
    control = begun("cubic")
    for rtt in (40, 40, 60, 40, 40, 40, 40, 40, 40):
        for _ in range(control.window // MSS):
            acked(control, rtt * 1_000_000, SECOND, control.window - MSS)
    assert control.threshold > 1 << 30
    assert control.window > 1000 * MSS


def test_a_train_of_acks_ends_slow_start_where_the_window_fills_the_path() -> None:
    """HyStart: 100 ms at a segment each millisecond are 100 segments, and no queue is needed."""
    control = begun("cubic")
    now = SECOND
    while control.threshold > 1 << 30:
        for number in range(control.window // MSS):
            acked(control, RTT, now + number * SECOND // 1000, control.window - MSS)
        now += RTT
        assert now < 2 * SECOND
    assert 90 * MSS <= control.window <= 140 * MSS


def test_acks_far_apart_are_no_train() -> None:
    control = begun("cubic")
    now = SECOND
    for _ in range(4):
        for number in range(control.window // MSS):
            acked(control, SECOND, now + number * SECOND // 400, control.window - MSS)
        now += SECOND
    assert control.threshold > 1 << 30
    assert control.window == 160 * MSS
