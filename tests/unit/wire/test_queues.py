"""Queueing disciplines in front of a rate, in virtual time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.wire.model import LinkModel
from testbed.wire.netem import Netem

MS = 10**6
SECOND = 10**9
SIZE = 1514
RATE = "rate 12112kbit"  # a full frame takes 1 ms


class Names:
    """Frames are ``FLOW.NUMBER``; those of flow ``e`` are ECN-capable, and get a ``*``."""

    def __init__(self) -> None:
        self.dropped: list[str] = []

    def copy(self, handle: str) -> str:
        return handle + "'"

    def corrupt(self, handle: str, chance: float) -> str:
        return f"{handle}!{chance:.0f}"

    def drop(self, handle: str) -> None:
        self.dropped.append(handle)

    def mark(self, handle: str) -> str | None:
        return handle + "*" if handle.startswith("e") else None

    def flow(self, handle: str) -> int:
        return ord(handle[0])


class Wire:
    """A model whose clock stops whenever something happens."""

    def __init__(self, options: str, *, seed: int = 1) -> None:
        self.names = Names()
        self.model: LinkModel[str] = LinkModel(
            Netem.parse(options), mtu=1500, seed=seed, frames=self.names
        )
        self.left: list[tuple[int, str]] = []
        self.sent: dict[str, int] = {}

    def run_until(self, now_ns: float) -> None:
        while (next_ns := self.model.next_departure_ns()) is not None and next_ns <= now_ns:
            self.left += [(next_ns, handle) for handle in self.model.dequeue(next_ns)]

    def send(self, frames: Iterable[tuple[int, str]], size: int = SIZE) -> Wire:
        for now_ns, flow in frames:
            self.run_until(now_ns)
            name = f"{flow}.{len(self.sent)}"
            self.sent[name] = now_ns
            self.model.enqueue(name, size, now_ns)
        return self

    def finish(self) -> list[tuple[int, str]]:
        self.run_until(math.inf)
        return self.left

    def delays_ms(self, flow: str = "") -> list[float]:
        return [
            (left_ns - self.sent[name.rstrip("*'")]) / MS
            for left_ns, name in self.finish()
            if name.startswith(flow)
        ]


def steady(flow: str, gap_ns: int, until_ns: int, start_ns: int = 0) -> Iterator[tuple[int, str]]:
    return ((at, flow) for at in range(start_ns, until_ns, gap_ns))


def together(*flows: Iterator[tuple[int, str]]) -> list[tuple[int, str]]:
    return sorted(frame for flow in flows for frame in flow)


def test_a_frame_leaves_as_soon_as_the_rate_is_free() -> None:
    left = Wire(f"{RATE} queue fifo").send([(0, "a")] * 3 + [(10 * MS, "a")]).finish()
    assert [at for at, _ in left] == [0, MS, 2 * MS, 10 * MS]


def test_the_delay_comes_before_the_queue_and_does_not_count_for_its_limit() -> None:
    wire = Wire(f"{RATE} delay 50ms queue fifo limit 2").send(steady("a", MS, 40 * MS))
    left = wire.finish()
    assert [at for at, _ in left] == [50 * MS + n * MS for n in range(40)]
    assert not wire.names.dropped


def test_a_full_fifo_drops_what_comes() -> None:
    wire = Wire(f"{RATE} queue fifo limit 2").send([(0, "a")] * 4)
    assert [name for _, name in wire.finish()] == ["a.0", "a.1", "a.2"]  # the first did not wait
    assert wire.names.dropped == ["a.3"]
    assert wire.model.counters().dropped_limit == 1


@pytest.mark.parametrize(
    ("limit", "waiting"), [("10", 10), ("15140b", 10), ("10ms", 10), ("0.5bdp", 10)]
)
def test_limits_of_a_fifo_are_of_what_waits(limit: str, waiting: int) -> None:
    wire = Wire(f"{RATE} delay 10ms queue fifo limit {limit}").send([(0, "a")] * 30)
    assert len(wire.finish()) == 1 + waiting


def test_a_burst_may_go_at_once_after_a_pause() -> None:
    left = Wire(f"{RATE} burst 3028b queue fifo").send([(SECOND, "a")] * 5).finish()
    assert [at - SECOND for at, _ in left] == [0, 0, 0, MS, 2 * MS]


def test_what_takes_the_rate_up_follows_a_change_of_it() -> None:
    wire = Wire(f"{RATE} queue fifo").send([(0, "a")] * 3)
    wire.run_until(MS / 2)
    wire.model.change(Netem.parse("rate 6056kbit queue fifo"), MS // 2)
    # Half of the first frame was left: it takes twice as long now.
    assert [at for at, _ in wire.finish()] == [0, MS // 2 + MS, MS // 2 + 3 * MS]


def test_codel_drops_after_an_interval_above_the_target_and_then_ever_faster() -> None:
    """RFC 8289, section 3.2: the n-th drop comes interval / sqrt(n) after the one before."""
    wire = Wire(f"{RATE} queue codel")
    times: list[int] = []
    for at_ns, flow in steady("a", MS // 2, SECOND):
        wire.send([(at_ns, flow)])
        times += [at_ns] * (len(wire.names.dropped) - len(times))
    # At twice the rate, what leaves at t has come at t/2: the delay passes 5 ms at 10 ms.
    assert times[0] / MS == pytest.approx(10 + 100, abs=2)
    gaps = [(b - a) / MS for a, b in pairwise(times)]
    for number, gap in enumerate(gaps[:8], 1):
        assert gap == pytest.approx(100 / math.sqrt(number), abs=1.1)


def test_codel_lets_a_burst_pass_that_drains_within_the_interval() -> None:
    wire = Wire(f"{RATE} queue codel").send([(0, "a")] * 90)
    assert len(wire.finish()) == 90


def test_codel_marks_what_can_be_marked() -> None:
    wire = Wire(f"{RATE} queue codel ecn").send(steady("e", MS // 2, SECOND // 2))
    marked = [name for _, name in wire.finish() if name.endswith("*")]
    counters = wire.model.counters()
    assert len(marked) == counters.marked > 5
    assert counters.dropped_early == 0
    plain = Wire(f"{RATE} queue codel ecn").send(steady("a", MS // 2, SECOND // 2))
    plain.finish()
    counters = plain.model.counters()
    assert counters.dropped_early > 5
    assert counters.marked == 0


def test_ce_threshold_marks_all_that_waited_longer() -> None:
    """A step of marks, as DCTCP wants it (RFC 8257, section 3.1)."""
    wire = Wire(f"{RATE} queue codel ce_threshold 4500us").send([(0, "e")] * 10)
    assert [name.endswith("*") for _, name in wire.finish()] == [False] * 5 + [True] * 5


def test_fq_codel_does_not_let_a_sparse_flow_wait_behind_a_bulk_flow() -> None:
    frames = together(steady("b", MS // 2, SECOND), steady("s", 20 * MS, SECOND, 10 * MS))
    fair, first = (
        Wire(f"{RATE} queue {kind}").send(frames) for kind in ("fq_codel", "fifo limit 500")
    )
    assert max(fair.delays_ms("s")) <= 2
    assert statistics.median(first.delays_ms("s")) > 100


def test_fq_codel_shares_the_rate_by_octets() -> None:
    frames = together(steady("b", MS // 2, SECOND), steady("c", MS, SECOND))
    wire = Wire(f"{RATE} queue fq_codel").send(frames)
    wire.run_until(SECOND)
    shares = [sum(name.startswith(flow) for _, name in wire.left) for flow in "bc"]
    assert shares[0] == pytest.approx(shares[1], rel=0.05)


def test_fq_codel_takes_its_limit_from_the_longest_flow() -> None:
    wire = Wire(f"{RATE} queue fq_codel limit 100")
    wire.send([(0, "s")] * 5 + [(0, "b")] * 200)
    wire.finish()
    assert wire.names.dropped
    assert all(name.startswith("b") for name in wire.names.dropped)
    assert wire.model.counters().dropped_limit == len(wire.names.dropped)


def test_pie_holds_its_target_against_a_source_that_does_not_slow_down() -> None:
    """11 % more than the rate: a tenth has to be dropped, at a delay near the target."""
    wire = Wire(f"{RATE} queue pie").send(steady("a", 900_000, 30 * SECOND))
    delays = wire.delays_ms()
    late = delays[len(delays) // 2 :]
    assert statistics.fmean(late) == pytest.approx(15, rel=0.25)
    share = wire.model.counters().dropped_early / len(wire.sent)
    assert share == pytest.approx(0.1, abs=0.02)


def test_pie_lets_a_burst_pass() -> None:
    """RFC 8033, section 4.1: nothing is dropped in the first 150 ms."""
    wire = Wire(f"{RATE} queue pie").send([(0, "a")] * 140)
    wire.finish()
    assert not wire.names.dropped


def test_pie_marks_up_to_a_tenth() -> None:
    wire = Wire(f"{RATE} queue pie ecn").send(steady("e", 970_000, 20 * SECOND))
    wire.finish()
    counters = wire.model.counters()
    assert counters.marked > 100
    # Marks do not slow this source down: at last the probability passes 10 %, and it drops.
    assert counters.dropped_early > 0


def test_red_leaves_short_queues_alone() -> None:
    wire = Wire(f"{RATE} queue red limit 200kb min 20kb max 60kb").send([(0, "a")] * 12)
    assert len(wire.finish()) == 12


def test_red_drops_between_its_thresholds_by_its_probability() -> None:
    """An average that is kept in the middle: half of ``probability``, evenly spread.

    Between two drops lie 1 to 2/p - 1 packets, 1/p on average (Floyd and Jacobson, section 7).
    """
    wire = Wire(f"{RATE} queue red limit 400kb min 15kb max 75kb probability 4%")
    wire.send([(0, "a")] * 30)  # 30 * 1514 octets is in the middle of 15 and 75 kb
    wire.send(steady("a", MS, 20 * SECOND, MS))
    before = len(wire.names.dropped)
    assert before > 0
    wire.finish()
    assert wire.model.counters().dropped_limit == 0


def test_red_drops_or_marks_all_above_its_maximum() -> None:
    options = f"{RATE} queue red limit 400kb min 15kb max 30kb"
    frames = list(steady("e", MS // 2, SECOND))
    drops, marks = (Wire(options + more).send(frames) for more in ("", " ecn"))
    drops.finish()
    marks.finish()
    assert drops.model.counters().dropped_early > 700
    assert marks.model.counters().dropped_early == 0
    assert marks.model.counters().marked > 500


def test_a_queue_waits_for_the_opportunities_of_a_trace(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text("10\n20\n30\n")
    wire = Wire(f"trace {trace} queue codel ce_threshold 12ms").send([(0, "e")] * 4)
    assert wire.finish() == [
        (10 * MS, "e.0"),
        (20 * MS, "e.1"),
        (30 * MS, "e.2*"),
        (40 * MS, "e.3*"),
    ]


def test_what_waits_stays_when_the_queue_becomes_another() -> None:
    wire = Wire(f"{RATE} queue fifo").send([(0, "a")] * 50)
    wire.run_until(10 * MS)
    wire.model.change(Netem.parse(f"{RATE} queue fq_codel"), 10 * MS)
    wire.run_until(20 * MS)
    wire.model.change(Netem.parse(RATE), 20 * MS)
    assert [name for _, name in wire.finish()] == [f"a.{n}" for n in range(50)]


def test_what_is_held_says_how_much_of_it_waits() -> None:
    wire = Wire(f"{RATE} delay 10ms queue fifo").send([(0, "a")] * 5)
    wire.run_until(10 * MS)
    wire.send([(10 * MS, "a")])
    counters = wire.model.counters()
    assert (counters.queued_packets, counters.queued_bytes) == (5, 5 * SIZE)
    assert counters.waiting_bytes == 4 * SIZE


QUEUES = ("fifo limit 5", "codel limit 9 ecn", "fq_codel limit 9", "pie limit 9", "red limit 60kb")


@given(
    st.lists(st.tuples(st.integers(0, 5 * MS), st.sampled_from("abe")), max_size=60),
    st.sampled_from(QUEUES),
    st.sampled_from(["", "delay 3ms 2ms", "loss 20% duplicate 20%", "delay 2ms reorder 30%"]),
)
def test_every_frame_leaves_or_is_counted_as_dropped(
    steps: list[tuple[int, str]], queue: str, others: str
) -> None:
    wire = Wire(f"{RATE} {others} queue {queue}")
    now_ns = 0
    for step_ns, flow in steps:
        now_ns += step_ns
        wire.send([(now_ns, flow)])
    left = wire.finish()
    counters = wire.model.counters()
    assert len(left) + counters.dropped == len(steps) + counters.duplicated
    assert len(left) == counters.forwarded_packets
    assert len(wire.names.dropped) == counters.dropped
    assert (counters.queued_packets, counters.queued_bytes, counters.waiting_bytes) == (0, 0, 0)
    assert [at for at, _ in left] == sorted(at for at, _ in left)
