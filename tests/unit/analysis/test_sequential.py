"""Looking several times, and being wrong no more often for it."""

from __future__ import annotations

import random
import statistics

import pytest
from scipy import stats

from testbed import document
from testbed.analysis.outcome import outcome
from testbed.analysis.sequential import Looks, follow, studentized
from testbed.analysis.statistics import Interval
from testbed.analysis.verdicts import Verdict
from testbed.experiment.asked import asked
from testbed.experiment.spec import ExperimentSpec
from testbed.results.model import RunRecord, Status

TEXT = """
topology: {nodes: {client: {}, server: {}}, links: {wifi: {between: [client, server], netem: {}}}}
workload: {kind: bulk, from: client, to: server, size: 1MB}
stacks: [tcp, mptcp]
repetitions: 5
max_repetitions: 40
expect:
  - {metric: goodput, stack: mptcp, relative_to: tcp, at_least: 1.5}
  - {metric: goodput, stack: tcp, at_least: 100}
"""
ASKED = asked("try", document.loads(TEXT, ExperimentSpec, "try.yaml").value)
LOOKS = Looks(block=5, most=40)


def runs(repetitions, goodput, *, status=Status.OK, busy=0.0):
    """Return the runs of so many repetitions; ``goodput`` is a function of stack and repetition."""
    return [
        RunRecord(
            number=2 * repetition - (stack == "tcp"),
            stack=stack,
            parameters={},
            repetition=repetition,
            seed=1,
            status=status,
            started_at="",
            seconds=1,
            busy=busy,
            metrics={"goodput": goodput(stack, repetition)} if status is Status.OK else {},
        )
        for repetition in range(1, repetitions + 1)
        for stack in ("tcp", "mptcp")
    ]


def drawn(tcp, mptcp, spread, seed=3):
    generator = random.Random(seed)
    values: dict[tuple[str, int], float] = {}

    def goodput(stack, repetition):
        mean = tcp if stack == "tcp" else mptcp
        return values.setdefault((stack, repetition), generator.gauss(mean, spread * mean))

    return goodput


def test_looks_are_after_each_block_and_at_the_end():
    assert Looks(block=5, most=17).sizes == (5, 10, 15, 17)
    assert Looks(block=5, most=5).sizes == (5,)


@pytest.mark.parametrize("looks", [LOOKS, Looks(block=2, most=100), Looks(block=7, most=7)])
def test_the_levels_of_all_looks_add_up_to_one_in_twenty(looks):
    assert sum(looks.levels) == pytest.approx(0.05)
    assert min(looks.levels) > 0


def test_the_interval_is_welchs():
    generator = random.Random(2)
    sample = [generator.gauss(10, 1) for _ in range(6)]
    expected = stats.ttest_1samp(sample, 0).confidence_interval(0.99)
    interval = studentized(sample, (), 0.01).interval
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert studentized([2.0, 2.0], [[1.0, 1.0]], 0.01).interval == Interval(2.0, 2.0)
    assert studentized([2.0], (), 0.01).interval is None


def decided(levels, sizes, values):
    """Tell whether any look excludes 1.5, the true ratio, with intervals of these levels."""
    base, new = values
    for size, level in zip(sizes, levels, strict=True):
        interval = studentized(new[:size], [base[:size]], level).interval
        if interval is not None and not interval.low <= 1.5 <= interval.high:
            return True
    return False


@pytest.mark.parametrize("shape", ["normal", "skewed"])
def test_eight_looks_are_wrong_once_in_twenty_and_naive_ones_more_often(shape):
    """The true ratio is the bound itself: every decision is by chance."""
    generator = random.Random(11)
    looks = Looks(block=5, most=40)

    def value(mean):
        noise = generator.gauss(0, 0.05)
        if shape == "skewed":  # as goodputs are: mostly near the best, sometimes far below
            noise = 0.05 - generator.gammavariate(2, 0.05) / 2
        return mean * (1 + noise)

    trials = [([value(20) for _ in range(40)], [value(30) for _ in range(40)]) for _ in range(400)]
    naive = sum(decided([0.05] * 8, looks.sizes, each) for each in trials)
    spent = sum(decided(looks.levels, looks.sizes, each) for each in trials)
    assert spent <= 20
    assert naive >= 48


def test_what_is_clear_is_decided_at_the_first_look():
    course = follow(ASKED, LOOKS, runs(5, drawn(200, 400, 0.02)))
    assert [check.verdict for check in course.checks] == [Verdict.PASS, Verdict.PASS]
    assert course.repetitions == 5


def test_what_is_near_the_bound_takes_more_and_what_was_decided_stays():
    goodput = drawn(200, 340, 0.1)
    sizes = [follow(ASKED, LOOKS, runs(n, goodput)).repetitions for n in LOOKS.sizes]
    first = follow(ASKED, LOOKS, runs(5, goodput)).checks
    last = follow(ASKED, LOOKS, runs(40, goodput)).checks
    assert first[0].verdict is Verdict.INCONCLUSIVE
    assert first[1] == last[1]
    assert last[0].verdict is Verdict.PASS
    enough = sizes[-1]
    assert sizes == [min(size + 5, enough) for size in LOOKS.sizes]
    assert 5 < enough <= 40


def test_half_a_block_is_no_look():
    goodput = drawn(200, 310, 0.06)
    whole, more = (follow(ASKED, LOOKS, runs(n, goodput)) for n in (5, 8))
    assert whole == more
    nothing = follow(ASKED, LOOKS, runs(4, goodput))
    assert nothing.repetitions == 5
    assert {check.verdict for check in nothing.checks} == {Verdict.INCONCLUSIVE}
    assert nothing.checks[0].value == pytest.approx(
        statistics.fmean(goodput("mptcp", n) for n in range(1, 5))
        / statistics.fmean(goodput("tcp", n) for n in range(1, 5))
    )


def test_what_more_repetitions_do_not_decide_is_not_waited_for():
    course = follow(ASKED, LOOKS, runs(5, drawn(200, 310, 0.06), busy=1.0))
    assert course.repetitions == 5
    assert course.checks[0].why is not None


def test_runs_that_do_not_count_end_at_the_most():
    course = follow(ASKED, LOOKS, runs(40, drawn(1, 1, 0), status=Status.FAILED))
    assert course.repetitions == 40
    assert {check.verdict for check in course.checks} == {Verdict.INCONCLUSIVE}


def test_the_outcome_says_what_the_looks_say():
    """At 95 % the claim would be called decided; after several looks it is not."""
    found = outcome(ASKED, runs(5, drawn(200, 400, 0.02)))
    assert (found.missing, found.cells[0].planned) == (0, 5)
    found = outcome(ASKED, runs(5, drawn(200, 310, 0.06)))
    assert (found.missing, found.cells[0].planned) == (10, 10)
    assert found.inconclusive
