"""The link model in virtual time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import InputError
from testbed.wire.model import LinkModel
from testbed.wire.netem import Netem

MS = 10**6
SECOND = 10**9


class Names:
    """Frames are strings; what happens to them is written into their names."""

    def __init__(self) -> None:
        self.dropped: list[str] = []
        self.chances: list[float] = []
        self.marks = False

    def copy(self, handle: str) -> str:
        return handle + "'"

    def corrupt(self, handle: str, chance: float) -> str:
        self.chances.append(chance)
        return handle + "!"

    def drop(self, handle: str) -> None:
        self.dropped.append(handle)

    def mark(self, handle: str) -> str | None:
        return handle + "^" if self.marks else None

    def flow(self, handle: str) -> int:
        return 0


class Wire:
    """A model with a clock that stops at every departure."""

    def __init__(self, options: str, *, seed: int = 1, mtu: int = 1500) -> None:
        self.names = Names()
        self.model = LinkModel(Netem.parse(options), mtu=mtu, seed=seed, frames=self.names)
        self.left: list[tuple[int, str]] = []

    def run_until(self, now_ns: float) -> None:
        while (next_ns := self.model.next_departure_ns()) is not None and next_ns <= now_ns:
            self.left += [(next_ns, handle) for handle in self.model.dequeue(next_ns)]

    def send(self, times_ns: Iterable[int], size: int = 1514) -> Wire:
        for number, now_ns in enumerate(times_ns):
            self.run_until(now_ns)
            self.model.enqueue(str(number), size, now_ns)
        return self

    def finish(self) -> list[tuple[int, str]]:
        self.run_until(math.inf)
        return self.left

    @property
    def names_left(self) -> list[str]:
        return [name for _, name in self.finish()]


def delays_ms(options: str, count: int = 20_000) -> list[float]:
    """Send packets a second apart and return the delay of each."""
    left = Wire(options).send(n * SECOND for n in range(count)).finish()
    return [(time_ns - int(name) * SECOND) / MS for time_ns, name in left]


def correlation(values: list[float]) -> float:
    """Between each value and the next."""
    return statistics.correlation(values[:-1], values[1:])


def test_without_options_frames_leave_at_once() -> None:
    wire = Wire("").send([5, 7])
    assert wire.finish() == [(5, "0"), (7, "1")]
    counters = wire.model.counters()
    assert (counters.forwarded_packets, counters.forwarded_bytes) == (2, 3028)
    assert (counters.queued_packets, counters.queued_bytes) == (0, 0)


def test_frames_are_passed_on_only_without_options_and_when_none_is_held() -> None:
    wire = Wire("")
    assert wire.model.passes_on
    wire.model.pass_on(3, 3000)
    counters = wire.model.counters()
    assert (counters.forwarded_packets, counters.forwarded_bytes) == (3, 3000)
    wire.model.change(Netem.parse("delay 1ms"), 0)
    assert not wire.model.passes_on
    wire.model.enqueue("held", 1514, 0)
    wire.model.change(Netem(), 0)
    assert not wire.model.passes_on
    assert wire.model.dequeue(MS) == ["held"]
    assert wire.model.passes_on
    for options in ("limit 5", "loss 1%", "rate 1mbit", "flap 1s 1s"):
        assert not Wire(options).model.passes_on


def test_frames_leave_in_slots_of_so_many_packets() -> None:
    """The first slot begins with the wire; each later one when the one before is used up."""
    wire = Wire("slot 10ms packets 2").send([0, 0, 0, 1 * MS, 1 * MS])
    times = [0, 0, 10 * MS, 10 * MS, 20 * MS]
    assert wire.finish() == [(at, str(number)) for number, at in enumerate(times)]


def test_slots_are_bounded_in_octets_too() -> None:
    left = Wire("slot 10ms bytes 4000").send([0] * 5).finish()
    assert [at for at, _ in left] == [0, 0, 0, 10 * MS, 10 * MS]


def test_a_frame_that_is_due_after_its_slot_has_begun_waits_for_the_next() -> None:
    left = Wire("delay 15ms slot 10ms").send([0]).finish()
    # Looked at on arrival (the slot of 10 ms), and when it is due (the slot of 25 ms).
    assert left == [(25 * MS, "0")]


@pytest.mark.parametrize(
    ("slot", "least", "most"),
    [("5ms 15ms", 5, 15), ("distribution normal 10ms 1ms", 6, 14)],
)
def test_slots_come_after_times_between_two_or_of_a_distribution(
    slot: str, least: float, most: float
) -> None:
    left = Wire(f"slot {slot} packets 1 limit 2000").send([0] * 1000).finish()
    waits = [(b - a) / MS for (a, _), (b, _) in pairwise(left)]
    assert least <= min(waits) < max(waits) <= most
    assert statistics.mean(waits) == pytest.approx(10, rel=0.03)


def test_loss_with_ecn_marks_what_understands_it() -> None:
    """Nothing is lost of what can be marked; what cannot be is lost."""
    wire = Wire("loss 20% ecn")
    wire.names.marks = True
    names = wire.send(n * SECOND for n in range(1000)).names_left
    marked = sum(name.endswith("^") for name in names)
    counters = wire.model.counters()
    assert (len(names), counters.marked, counters.dropped_loss) == (1000, marked, 0)
    assert 150 < marked < 250
    deaf = Wire("loss 20% ecn").send(n * SECOND for n in range(1000))
    assert (len(deaf.names_left), deaf.model.counters().marked) == (1000 - marked, 0)


def test_delay_is_added_to_each_frame() -> None:
    assert Wire("delay 10ms").send([0, 3, 8 * MS]).finish() == [
        (10 * MS, "0"),
        (10 * MS + 3, "1"),
        (18 * MS, "2"),
    ]


def test_frames_wait_for_the_rate_and_delay_comes_first() -> None:
    # 1514 octets at 12.112 Mbit/s take 1 ms.
    left = Wire("rate 12112kbit delay 10ms").send([0, 0, 0, 20 * MS]).finish()
    assert [time_ns for time_ns, _ in left] == [11 * MS, 12 * MS, 13 * MS, 31 * MS]


@pytest.mark.parametrize("mbit", [1, 10, 50, 100, 1000])
def test_the_rate_is_exact_over_many_frames(mbit: int) -> None:
    wire = Wire(f"rate {mbit}mbit limit 100000").send([0] * 10_000)
    last_ns = wire.finish()[-1][0]
    assert last_ns == pytest.approx(10_000 * 1514 * 8 * 1000 / mbit, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "size", "time_ns"),
    [
        ("rate 8mbit", 100, 100_000),
        ("rate 8mbit 20", 100, 120_000),
        ("rate 8mbit -14", 100, 86_000),
        ("rate 8mbit -200", 100, 0),
        # tc-netem(8): 50 octets take two ATM cells of 48, each with 5 octets of header.
        ("rate 8mbit 0 48 5", 50, 106_000),
        ("rate 8mbit 0 48 5", 48, 53_000),
    ],
)
def test_overheads_and_cells_count_for_the_rate(options: str, size: int, time_ns: int) -> None:
    assert Wire(options).send([0], size).finish() == [(time_ns, "0")]


def test_uniform_jitter_fills_its_range_evenly() -> None:
    delays = delays_ms("delay 100ms 10ms")
    assert min(delays) == pytest.approx(90, abs=0.1)
    assert max(delays) == pytest.approx(110, abs=0.1)
    assert statistics.mean(delays) == pytest.approx(100, abs=0.2)
    assert statistics.stdev(delays) == pytest.approx(10 / math.sqrt(3), rel=0.02)


@pytest.mark.parametrize(
    ("distribution", "mean", "deviation", "median"),
    [("normal", 100, 10, 100), ("pareto", 99.7, 8.2, 96.8), ("paretonormal", 99.7, 8.3, 97.6)],
)
def test_jitter_follows_its_table(
    distribution: str, mean: float, deviation: float, median: float
) -> None:
    delays = delays_ms(f"delay 100ms 10ms distribution {distribution}")
    assert statistics.mean(delays) == pytest.approx(mean, abs=0.3)
    assert statistics.stdev(delays) == pytest.approx(deviation, rel=0.05)
    assert statistics.median(delays) == pytest.approx(median, abs=0.3)


def test_a_frame_never_leaves_before_it_came() -> None:
    assert min(delays_ms("delay 1ms 50ms")) == 0


def test_correlated_jitter_depends_on_the_one_before() -> None:
    assert correlation(delays_ms("delay 100ms 10ms")) == pytest.approx(0, abs=0.03)
    assert correlation(delays_ms("delay 100ms 10ms 50%")) == pytest.approx(0.5, abs=0.03)
    table = delays_ms("delay 100ms 10ms 50% distribution normal")
    assert correlation(table) == pytest.approx(0.5, abs=0.05)


def test_jitter_reorders_without_a_rate_and_not_with_one() -> None:
    sent = [n * MS for n in range(1000)]
    order = [str(n) for n in range(1000)]
    jittered = Wire("delay 50ms 20ms").send(sent)
    assert jittered.names_left != order
    assert sorted(jittered.names_left, key=int) == order
    assert [time_ns for time_ns, _ in jittered.left] == sorted(t for t, _ in jittered.left)
    assert Wire("delay 50ms 20ms rate 1gbit").send(sent).names_left == order


def test_the_order_does_not_depend_on_when_frames_are_taken() -> None:
    sent = [n * MS for n in range(200)]
    late = Wire("delay 50ms 20ms")
    for number, now_ns in enumerate(sent):
        late.model.enqueue(str(number), 1514, now_ns)
    assert late.model.dequeue(SECOND) == Wire("delay 50ms 20ms").send(sent).names_left


@pytest.mark.parametrize("percent", [0, 1, 10, 100])
def test_random_loss(percent: int) -> None:
    wire = Wire(f"loss {percent}%").send(range(20_000))
    lost = 20_000 - len(wire.finish())
    sigma = math.sqrt(20_000 * percent / 100 * (1 - percent / 100))
    assert lost == pytest.approx(20_000 * percent / 100, abs=2.6 * sigma)
    assert wire.model.counters().dropped_loss == lost == len(wire.names.dropped)


def test_correlated_loss_comes_in_bursts() -> None:
    def bursts(options: str) -> int:
        left = [int(name) for name in Wire(options).send(range(20_000)).names_left]
        return sum(later - earlier > 1 for earlier, later in pairwise(left))

    assert bursts("loss 20% 80%") < bursts("loss 20%") / 2


def test_gilbert_elliott_loses_what_its_stationary_state_says() -> None:
    # Bad for p / (p + r) of the time; 70 % of that is lost, 1 % of the rest.
    p, r = 0.02, 0.18
    wire = Wire("loss gemodel 2% 18% 70% 1%").send(range(100_000))
    lost = 1 - len(wire.finish()) / 100_000
    bad = p / (p + r)
    assert lost == pytest.approx(bad * 0.7 + (1 - bad) * 0.01, rel=0.05)


def test_four_states_lose_single_packets_and_bursts() -> None:
    """Chain of tc-netem(8): state 4 loses one packet, state 3 a burst that state 2 interrupts."""
    single = Wire("loss state 0% 0% 0% 0% 10%").send(range(50_000))
    left = [int(name) for name in single.names_left]
    assert 50_000 - len(left) == pytest.approx(50_000 / 11, rel=0.05)  # 1 of 1 + 1/p14 packets
    assert max(b - a for a, b in pairwise(left)) == 2
    bursts = [int(name) for name in Wire("loss state 1% 25%").send(range(50_000)).names_left]
    lengths = [b - a - 1 for a, b in pairwise(bursts) if b - a > 1]
    assert statistics.fmean(lengths) == pytest.approx(4, rel=0.15)
    inside = Wire("loss state 1% 0% 50% 50%").send(range(20_000))
    lost = 20_000 - len(inside.names_left)  # once in a burst it alternates between 2 and 3
    assert lost == pytest.approx(10_000, rel=0.1)


def test_gilbert_elliott_bursts_last_as_long_as_the_bad_state() -> None:
    left = [int(name) for name in Wire("loss gemodel 1% 20%").send(range(100_000)).names_left]
    gaps = [later - earlier - 1 for earlier, later in pairwise(left)]
    assert statistics.mean(gap for gap in gaps if gap) == pytest.approx(1 / 0.2, rel=0.1)


def test_gap_lets_every_nth_frame_jump_the_queue() -> None:
    wire = Wire("delay 10ms reorder 100% gap 3").send(range(6))
    assert wire.names_left == ["2", "5", "0", "1", "3", "4"]
    assert wire.left[0][0] <= 2
    assert wire.model.counters().reordered == 2


def test_frames_that_jump_keep_their_own_order_however_late_they_are_taken() -> None:
    wire = Wire("delay 10ns reorder 100% gap 2")
    for number in range(6):
        wire.model.enqueue(str(number), 1514, 5 * number)
    # 0, 2 and 4 leave at 10, 20 and 30; 1, 3 and 5 at once, at 5, 15 and 25.
    assert wire.model.dequeue(100) == ["1", "0", "3", "2", "5", "4"]


def test_reorder_lets_a_share_of_the_frames_jump() -> None:
    wire = Wire("delay 10ms reorder 25%").send(n * SECOND for n in range(10_000))
    early = sum(time_ns < int(name) * SECOND + MS for time_ns, name in wire.finish())
    assert early == pytest.approx(2500, abs=150)
    assert wire.model.counters().reordered == early


def test_duplicates_are_sent_too() -> None:
    wire = Wire("duplicate 100% delay 1ms").send([0, 5])
    assert wire.names_left == ["0'", "0", "1'", "1"]
    assert wire.model.counters().duplicated == 2
    assert wire.model.counters().forwarded_packets == 4


def test_a_duplicate_is_not_duplicated_and_may_be_lost() -> None:
    left = Wire("duplicate 100% loss 50%").send(range(10_000)).finish()
    # As in netem: one of the two is lost with 50 %; the copy then once more.
    assert len(left) == pytest.approx(10_000 * (0.5 + 0.5 * 1.5), rel=0.03)


def test_corruption_is_asked_of_the_owner_of_the_frames() -> None:
    wire = Wire("corrupt 10%").send(range(10_000))
    corrupted = [name for name in wire.names_left if name.endswith("!")]
    assert len(corrupted) == wire.model.counters().corrupted == pytest.approx(1000, abs=80)
    assert statistics.mean(wire.names.chances) == pytest.approx(0.5, abs=0.05)


def test_the_limit_counts_all_that_is_held() -> None:
    wire = Wire("delay 10ms limit 3").send([0, 0, 0, 0, 10 * MS])
    assert wire.names.dropped == ["3"]
    assert wire.names_left == ["0", "1", "2", "4"]
    assert wire.model.counters().dropped_limit == 1


def test_the_limit_does_not_count_what_has_left_but_was_not_taken_yet() -> None:
    # An emulator that wakes up late hands over several frames with their times of arrival.
    wire = Wire("limit 2")
    for number in range(10):
        wire.model.enqueue(str(number), 1514, number)
    assert wire.model.dequeue(10) == [str(number) for number in range(10)]
    assert wire.names.dropped == []


def test_the_default_limit_is_netems() -> None:
    wire = Wire("delay 1s").send([0] * 1001)
    assert wire.names.dropped == ["1000"]


def test_what_is_held_is_counted() -> None:
    wire = Wire("delay 10ms").send([0, 5 * MS], size=1000)
    wire.run_until(12 * MS)
    counters = wire.model.counters()
    assert (counters.queued_packets, counters.queued_bytes) == (1, 1000)
    assert (counters.forwarded_packets, counters.forwarded_bytes) == (1, 1000)


def test_a_change_keeps_what_is_held_and_applies_to_what_comes() -> None:
    wire = Wire("rate 12112kbit").send([0, 0])
    wire.model.change(Netem.parse("rate 121120kbit"), 0)
    wire.send([0])
    assert [time_ns for time_ns, _ in wire.finish()] == [1 * MS, 2 * MS, 2_100_000]


def test_a_shorter_delay_lets_later_frames_overtake() -> None:
    wire = Wire("delay 100ms").send([0])
    wire.model.change(Netem.parse("delay 1ms"), 0)
    wire.model.enqueue("later", 1514, 0)
    assert wire.finish() == [(1 * MS, "later"), (100 * MS, "0")]


def test_a_blackhole_is_temporary() -> None:
    wire = Wire("delay 5ms")
    shaped = wire.model.netem
    wire.send([0])
    wire.model.change(shaped.merge({"loss": "100%"}), 1)
    wire.model.enqueue("lost", 1514, 1)
    wire.model.change(shaped, 2)
    wire.model.enqueue("late", 1514, 2)
    assert wire.names_left == ["0", "late"]


def test_an_option_that_is_not_changed_keeps_its_state() -> None:
    # In the bad state for good after the first frame: all later ones are lost.
    wire = Wire("loss gemodel 100% 0%").send([0])
    wire.model.change(Netem.parse("loss gemodel 100% 0% delay 1ms"), 1)
    wire.model.enqueue("1", 1514, 1)
    assert wire.names_left == ["0"]
    gap = Wire("delay 1ms reorder 100% gap 3").send([0, 0])
    gap.model.change(Netem.parse("delay 1ms reorder 100% gap 3 duplicate 0%"), 0)
    gap.model.enqueue("2", 1514, 0)
    assert gap.names_left == ["2", "0", "1"]


@given(
    st.sampled_from(
        [
            "delay 10ms 5ms loss 10% duplicate 10% corrupt 10%",
            "rate 5mbit limit 20 loss gemodel 5% 20%",
            "delay 10ms 3ms 50% distribution pareto reorder 10% 50%",
        ]
    ),
    st.integers(0, 2**32),
    st.lists(st.integers(0, 20 * MS), max_size=60).map(sorted),
)
def test_equal_seeds_give_equal_fates_and_no_frame_is_forgotten(
    options: str, seed: int, times_ns: list[int]
) -> None:
    one, other = (Wire(options, seed=seed).send(times_ns) for _ in range(2))
    assert one.finish() == other.finish()
    assert one.names.dropped == other.names.dropped
    counters = one.model.counters()
    assert len(one.left) == counters.forwarded_packets
    assert len(one.names.dropped) == counters.dropped_loss + counters.dropped_limit
    assert len(one.left) + len(one.names.dropped) == len(times_ns) + counters.duplicated
    assert counters.queued_packets == counters.queued_bytes == 0
    assert all(earlier[0] <= later[0] for earlier, later in pairwise(one.left))


def test_different_seeds_give_different_fates() -> None:
    first, second = (Wire("loss 50%", seed=seed).send(range(100)).names_left for seed in (1, 2))
    assert first != second


def test_a_trace_decides_when_frames_leave(tmp_path: Path) -> None:
    path = tmp_path / "link.trace"
    path.write_text("1\n1\n5\n")
    wire = Wire(f"trace {path}").send([0] * 4)
    assert [time_ns for time_ns, _ in wire.finish()] == [1 * MS, 1 * MS, 5 * MS, 6 * MS]


def test_a_bad_trace_changes_nothing(tmp_path: Path) -> None:
    wire = Wire("rate 12112kbit")
    with pytest.raises(InputError):
        wire.model.change(Netem.parse(f"delay 1s trace {tmp_path}/none"), 0)
    assert wire.send([0]).finish() == [(1 * MS, "0")]
