"""The parts of BBR's model, one by one: draft-ietf-ccwg-bbr-06."""

from __future__ import annotations

import pytest

from testbed.stack.tcp.congestion.bbr.bounds import (
    LongTerm,
    LossRound,
    ShortTerm,
    inflight_at_loss,
    too_high,
)
from testbed.stack.tcp.congestion.bbr.cycle import ProbeWait
from testbed.stack.tcp.congestion.bbr.path import Aggregation, MaxBandwidth, MinRtt
from testbed.stack.tcp.congestion.bbr.pipe import FullPipe, LossRanges
from testbed.stack.tcp.congestion.control import Loss, Sample

MSS = 1000
MS = 1_000_000
SECOND = 1_000_000_000


def sample(total: int, prior: int, rate: int) -> Sample:
    return Sample(
        now=0,
        delivered=MSS,
        lost=0,
        growable=True,
        flight=0,
        in_flight=0,
        rtt=None,
        smoothed=None,
        minimum=None,
        rate=rate,
        round=0,
        app_limited=False,
        total=total,
        prior=prior,
    )


def lost(start: int, size: int = MSS, tx_in_flight: int = 100 * MSS, octets: int = MSS) -> Loss:
    return Loss(start, start + size, tx_in_flight, octets, app_limited=False)


def test_three_round_trips_without_growth_say_that_the_path_is_full() -> None:
    """Section 5.3.1.2: growth by a quarter restarts the count."""
    pipe = FullPipe()
    for rate in (100, 200, 210, 220, 260, 270, 280):
        pipe.take(rate)
        assert not pipe.reached
    pipe.take(300)
    assert pipe.now
    pipe.look(300)
    assert (pipe.now, pipe.reached) == (False, True)


def test_losses_side_by_side_are_one_range() -> None:
    """Section 5.3.1.3."""
    ranges = LossRanges()
    for start in (0, 1, 2, 10, 11, 20, 30, 40):
        ranges.take(lost(start * MSS))
    assert not ranges.many
    ranges.take(lost(50 * MSS))
    assert ranges.many
    ranges.restart()
    assert not ranges.many


def test_the_greatest_rate_is_that_of_two_cycles() -> None:
    """Sections 5.5.4 and 5.5.6; a cycle without a sample does not make the others older."""
    most = MaxBandwidth()
    most.take(500, limited=False)
    most.take(400, limited=True)
    most.advance()
    most.advance()
    assert most.value == 500
    most.take(300, limited=False)
    most.take(200, limited=True)
    most.advance()
    assert most.value == 300
    most.take(600, limited=True)
    assert most.value == 600


def test_the_shortest_round_trip_of_ten_seconds() -> None:
    """Section 5.3.4.3: to be looked for when 10 s have not brought one as short."""
    least = MinRtt()
    seen = []
    for rtt, at in ((20, SECOND), (30, 11 * SECOND), (40, 11 * SECOND + 1), (50, 12 * SECOND)):
        expired = least.look(at)
        least.take(rtt * MS, at)
        seen.append((least.value, expired))
    assert seen == [(20 * MS, False), (20 * MS, False), (40 * MS, True), (40 * MS, False)]


def test_what_is_acknowledged_at_once_is_extra() -> None:
    """Section 5.5.9, at 1000 octets a millisecond."""
    bunched = Aggregation()
    for number in range(50):
        bunched.take(MSS, 1_000_000, 100 * MSS, number, 10, number * MS)
    assert bunched.extra <= 2 * MSS
    bunched.take(20 * MSS, 1_000_000, 100 * MSS, 50, 10, 50 * MS)
    assert bunched.extra == pytest.approx(20 * MSS, abs=2 * MSS)
    bunched.take(MSS, 1_000_000, 100 * MSS, 59, 10, 200 * MS)
    assert bunched.extra > 15 * MSS
    bunched.take(MSS, 1_000_000, 100 * MSS, 60, 10, 201 * MS)
    assert bunched.extra <= 2 * MSS


def test_more_than_2_percent_lost_is_too_much() -> None:
    """Section 5.5.10.2; without SACK there is no telling, so that any loss is."""
    assert not too_high(2 * MSS, 100 * MSS, MSS, selective=True)
    assert too_high(3 * MSS, 100 * MSS, MSS, selective=True)
    assert too_high(MSS, 100 * MSS, MSS, selective=False)


def test_one_loss_is_no_rate() -> None:
    """2 % of less than 50 segments is less than one; two losses are too many there."""
    assert not too_high(MSS, 10 * MSS, MSS, selective=True)
    assert too_high(2 * MSS, 99 * MSS, MSS, selective=True)
    assert not too_high(2 * MSS, 100 * MSS, MSS, selective=True)


def test_of_a_burst_only_the_end_may_have_been_too_much() -> None:
    """InflightAtLoss: 40 segments behind 60, of which none was lost before."""
    found = inflight_at_loss(lost(0, 40 * MSS, 100 * MSS, 40 * MSS))
    assert found == pytest.approx(60 * MSS + 0.02 * 60 * MSS / 0.98, abs=1)


def test_what_was_lost_before_a_burst_is_not_taken_off_twice() -> None:
    """No part of a burst fits after too many losses."""
    assert inflight_at_loss(lost(0, MSS, 30 * MSS, 5 * MSS)) == 29 * MSS


def test_a_lossy_round_trip_takes_30_percent_at_most() -> None:
    """Section 5.5.10.3: to what was delivered, but not at once."""
    short, latest = ShortTerm(), LossRound()
    latest.take(sample(total=50 * MSS, prior=0, rate=891_000), 1.0)
    short.adapt(latest, 1_000_000, 100 * MSS)
    assert (short.rate, short.inflight) == (900_000, 70 * MSS)
    short.adapt(latest, 1_000_000, 100 * MSS)
    assert (short.rate, short.inflight) == (900_000, 50 * MSS)


def test_the_pacing_margin_is_no_loss() -> None:
    """A sender at 0.99 of a rate delivers 0.99 of it: 2 % of loss reduces it by 2 %, not 3."""
    short, latest = ShortTerm(), LossRound()
    for delivered, rate in ((990_000, 1_000_000), (980_100, 990_000), (960_498, 970_200)):
        latest.restart()
        latest.take(sample(total=50 * MSS, prior=0, rate=delivered), 1.0)
        short.adapt(latest, 1_000_000, 100 * MSS)
        assert short.rate == pytest.approx(rate, rel=1e-5)


def test_nor_is_the_draining_of_a_queue() -> None:
    """Segments that left at 0.9 of a rate are acknowledged in this round trip and in the next."""
    latest = LossRound()
    seen = []
    for total, gain, rate in ((10, 0.9, 990), (20, 1.0, 891), (30, 1.0, 891)):
        latest.take(sample(total=total * MSS, prior=(total - 10) * MSS, rate=rate), gain)
        assert latest.over
        seen.append(latest.allowed)
        latest.advance(sample(total=total * MSS, prior=(total - 10) * MSS, rate=0))
    assert seen == [int(990 / 0.891), 1000, 900]


def test_a_round_trip_with_a_loss_begins_at_the_loss() -> None:
    latest = LossRound()
    latest.take(sample(total=10 * MSS, prior=0, rate=500), 1.0)
    latest.note(10 * MSS)
    latest.take(sample(total=15 * MSS, prior=5 * MSS, rate=700), 1.0)
    assert (latest.over, latest.lossy) == (False, True)
    latest.take(sample(total=25 * MSS, prior=10 * MSS, rate=600), 1.0)
    assert (latest.over, latest.rate, latest.delivered) == (True, 700, 15 * MSS)
    latest.advance(sample(total=25 * MSS, prior=10 * MSS, rate=600))
    assert latest.rate == 600


def test_the_probe_for_more_in_flight_gets_bolder() -> None:
    """Section 5.3.3.5: by 1, 2 and 4 segments in round trips of 100."""
    long = LongTerm()
    long.limit(100 * MSS)
    long.refill()
    seen = []
    for _ in range(3):
        long.steeper(100 * MSS, MSS)
        before = long.inflight
        for _ in range(100):
            long.grow(MSS, MSS)
        seen.append((long.inflight - before) // MSS)
    assert seen == [1, 2, 4]
    long.stop()
    before = long.inflight
    long.grow(100 * MSS, MSS)
    assert long.inflight == before
    assert long.with_headroom(MSS) == before - int(0.15 * before)


def test_probes_are_two_to_three_seconds_apart_and_not_in_step() -> None:
    """Section 5.3.3.8."""
    waits = set()
    for number in range(50):
        now = SECOND + number * 1_234_567
        wait = ProbeWait()
        wait.begin(now, 0)
        assert not wait.over(now + 2 * SECOND, 0, 1000)
        assert wait.over(now + 3 * SECOND, 0, 1000)
        waits.add(next(t for t in range(2000, 3001) if wait.over(now + t * MS, 0, 1000)))
    assert len(waits) > 40
    assert max(waits) - min(waits) > 800


@pytest.mark.parametrize(("segments", "rounds"), [(20, 20), (1000, 63)])
def test_probes_are_as_often_as_renos(segments: int, rounds: int) -> None:
    wait = ProbeWait()
    wait.begin(SECOND, 100)
    assert not wait.over(SECOND, 100 + rounds - 2, segments)
    assert wait.over(SECOND, 100 + rounds, segments)
