"""The comparison of sides: compared cells, verdicts, and remarks on the other cells."""

from __future__ import annotations

import math

import msgspec
import pytest

from testbed.analysis.comparison import Comparison, Terms, compare
from testbed.analysis.verdicts import Verdict
from testbed.errors import InputError
from testbed.metric import Better, Metric, Source
from tests.unit.analysis.sides import ENVIRONMENT, cell, side

QUIET = [99.0, 100.0, 100.2, 100.5, 101.0]
NEITHER = Metric(
    name="handled", unit="1", better=Better.NEITHER, definition="d", source=Source.WORKLOAD
)


def one(base, new, **terms):
    """Return the change of the goodput of one cell."""
    sides = [side(n, cell(metrics={"goodput": v})) for n, v in (("base", base), ("new", new))]
    (change,) = compare(sides[0], sides[1:], Terms(**terms)).changes
    return change


def scaled(factor, values=QUIET):
    return [value * factor for value in values]


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [
        (0.9, Verdict.REGRESSED),
        (1.1, Verdict.IMPROVED),
        (1.0, Verdict.PASS),
        (0.99, Verdict.PASS),  # a significant change that is too small to be relevant
        (1.03, Verdict.PASS),
        (0.952, Verdict.INCONCLUSIVE),  # neither surely less than 5 %, nor surely more
    ],
)
def test_the_verdict_of_a_metric_of_which_more_is_better(factor, verdict):
    assert one(QUIET, scaled(factor)).verdict is verdict


@pytest.mark.parametrize(
    ("metric", "verdict"), [("duration", Verdict.REGRESSED), ("handled", Verdict.CHANGED)]
)
def test_the_direction_is_that_of_the_registry_or_of_the_experiment(metric, verdict):
    base, new = (
        side(name, cell(metrics={metric: values}), own={"handled": NEITHER})
        for name, values in (("base", QUIET), ("new", scaled(1.1)))
    )
    found = compare(base, [new], Terms(metrics=(metric,)))
    assert [each.verdict for each in found.changes] == [verdict]
    assert found.regressed is (verdict is Verdict.REGRESSED)
    assert found.changed


def test_a_metric_without_a_direction_passes_only_if_it_is_the_same_both_ways():
    for factor, verdict in ((1.0, Verdict.PASS), (1.049, Verdict.INCONCLUSIVE)):
        base, new = (
            side(name, cell(metrics={"handled": values}), own={"handled": NEITHER})
            for name, values in (("base", QUIET), ("new", scaled(factor)))
        )
        (change,) = compare(base, [new], Terms(metrics=("handled",))).changes
        assert change.verdict is verdict


def test_a_change_in_numbers():
    change = one(QUIET, scaled(0.9))
    assert change.base is not None
    assert change.new is not None
    assert change.difference == pytest.approx(change.new.mean - change.base.mean)
    assert change.relative == pytest.approx(-0.1)
    assert change.interval is not None
    assert change.interval.low < -0.1 < change.interval.high < -0.05
    assert change.effect == -1
    assert change.test is not None
    assert change.test.name == "Mann-Whitney U, exact"
    assert change.test.p == pytest.approx(2 / math.comb(10, 5))
    assert change.threshold == 0.05
    assert change.detectable == pytest.approx(0.05)  # less would not be relevant
    assert (change.why, change.repetitions) == (None, None)


def test_the_threshold_is_a_choice():
    assert one(QUIET, scaled(0.9), threshold=0.2).verdict is Verdict.PASS
    assert one(QUIET, scaled(0.97), threshold=0.01).verdict is Verdict.REGRESSED


def test_samples_that_are_too_small_to_be_significant_never_are():
    change = one(QUIET[:3], scaled(0.5, QUIET[:3]))
    assert change.test is not None
    assert change.test.least == 0.1
    assert change.verdict is Verdict.INCONCLUSIVE
    assert change.why == "with 3 and 3 runs no change can be significant"
    assert change.repetitions == 4
    assert change.detectable is None


def test_a_single_run_shows_no_spread():
    change = one([100.0], [50.0])
    assert (change.verdict, change.why) == (
        Verdict.INCONCLUSIVE,
        "a single run shows no spread",
    )
    assert (change.test, change.interval) == (None, None)


def test_wide_samples_are_inconclusive_and_more_runs_would_tell():
    wide = [80.0, 90.0, 100.0, 110.0, 120.0]
    change = one(wide, scaled(0.98, wide))
    assert change.verdict is Verdict.INCONCLUSIVE
    assert change.why == "the runs differ too much among themselves"
    assert change.repetitions is not None
    assert 500 > change.repetitions > 100
    assert change.detectable is not None
    assert change.detectable > 0.3


def test_one_extraordinary_run_makes_no_verdict():
    """Most runs of the new side are better, its mean is worse."""
    base = [100.0 + i / 10 for i in range(8)]
    new = [*(value + 1 for value in base[:7]), 10.0]
    assert one(base, new).verdict is Verdict.INCONCLUSIVE


def test_numbers_that_are_zero_are_compared_by_their_difference():
    none, some = [0.0] * 5, [3.0, 4.0, 4.0, 5.0, 6.0]
    base, new = (
        side(name, cell(metrics={"retransmits": values}))
        for name, values in (("base", none), ("new", some))
    )
    terms = Terms(metrics=("retransmits",))
    (change,) = compare(base, [new], terms).changes
    assert (change.verdict, change.relative, change.difference) == (Verdict.REGRESSED, None, 4.4)
    (change,) = compare(base, [base], terms).changes
    assert change.verdict is Verdict.PASS


def test_many_comparisons_are_corrected_for():
    """One cell of ten differs as little as five runs can show: that happens by chance."""
    parameters = [{"n": number} for number in range(10)]
    same = [cell(parameters=each, metrics={"goodput": QUIET}) for each in parameters]
    other = cell(parameters=parameters[0], metrics={"goodput": scaled(0.9)})
    found = compare(side("base", *same), [side("new", other, *same[1:])])
    first = found.changes[0]
    assert first.test is not None
    assert first.test.p < 0.05 < (first.p or 0)
    assert first.verdict is Verdict.INCONCLUSIVE
    assert first.why == (
        "with 5 and 5 runs no single change among 10 comparisons can be significant"
    )
    assert first.repetitions == 6
    assert found.counts == {Verdict.PASS: 9, Verdict.INCONCLUSIVE: 1}


def exact(base, new, **more):
    """Compare on a virtual clock."""
    sides = [
        side(name, cell(metrics={"goodput": values}), deterministic=True)
        for name, values in (("base", base), ("new", new))
    ]
    found = compare(sides[0], sides[1:], Terms(**more))
    assert found.exact
    return found.changes[0]


def test_where_time_is_virtual_one_run_decides_and_any_difference_is_one():
    assert exact([100.0], [100.0]).verdict is Verdict.PASS
    assert exact([100.0], [99.999]).verdict is Verdict.REGRESSED
    assert exact([100.0], [100.001]).verdict is Verdict.IMPROVED
    assert exact([100.0], [99.0], threshold=0.05).verdict is Verdict.PASS
    assert exact([1.0, 2.0], [2.0, 1.0]).verdict is Verdict.CHANGED
    change = exact([100.0], [99.0])
    assert (change.test, change.interval, change.p) == (None, None, None)


def test_the_virtual_clock_of_a_kernel_is_not_quite_as_exact():
    environment = msgspec.structs.replace(ENVIRONMENT, machine="uml:7.3+virtual-time")
    for goodput, verdict in ((99.7, Verdict.PASS), (99.4, Verdict.REGRESSED)):
        base, new = (
            side(
                name,
                cell(metrics={"goodput": [value]}),
                deterministic=True,
                environment=environment,
            )
            for name, value in (("base", 100.0), ("new", goodput))
        )
        (change,) = compare(base, [new]).changes
        assert (change.verdict, change.threshold) == (verdict, 0.005)


def test_where_time_is_virtual_equal_repetitions_are_compared():
    assert exact([1.0, 2.0, 9.0], [1.0, 2.0]).verdict is Verdict.PASS


def test_runs_that_do_not_count_are_a_metric_of_their_own():
    good = cell(metrics={"goodput": QUIET})
    bad = cell(metrics={}, count=0, failed=3, invalid=2)
    found = compare(side("base", good), [side("new", bad)])
    ok, goodput = found.changes
    assert (ok.metric, ok.verdict) == ("ok", Verdict.REGRESSED)
    assert (goodput.verdict, goodput.why) == (Verdict.INCONCLUSIVE, "no run of new measured it")
    assert "new, mptcp: 3 of 5 runs failed; no mean includes them" in found.warnings
    assert "new, mptcp: 2 of 5 runs invalid; no mean includes them" in found.warnings


def test_processors_without_rest_leave_it_open_unless_that_does_not_matter():
    metrics = {"goodput": QUIET, "cpu_source": QUIET}
    slow = {name: scaled(0.8) for name in metrics}
    base = side("base", cell(metrics=metrics))
    new = side("new", cell(metrics=slow, busy=0.97, load=3.0))
    found = compare(base, [new], Terms(metrics=("goodput", "cpu_source")))
    goodput, cpu = found.changes
    assert goodput.verdict is Verdict.INCONCLUSIVE
    assert goodput.why is not None
    assert "busy 97% of the time in most runs" in goodput.why
    assert goodput.repetitions is None
    assert cpu.verdict is Verdict.IMPROVED
    assert found.warnings == (
        "new, mptcp: the processors were busy 97% of the time in most runs",
        "new, mptcp: a load average of 3.0 on 2 processors",
    )


def test_what_else_differs_is_a_warning():
    mine = cell(metrics={"goodput": QUIET}, planned=7, congestion=("cubic",), subflows=(2,))
    its = cell(metrics={"goodput": QUIET}, congestion=("bbr",), subflows=(1,))
    assert compare(side("base", mine), [side("new", its)]).warnings == (
        "base, mptcp: 2 of 7 runs are missing",
        "mptcp: different congestion controls: cubic in base, bbr in new",
        "mptcp: different numbers of subflows: 2 in base, 1 in new",
    )


def test_cells_are_held_against_equal_ones_and_others_are_told():
    here = [
        cell(stack=stack, parameters={"delay": delay}, metrics={"goodput": QUIET})
        for stack in ("tcp", "mptcp")
        for delay in (1, 2)
    ]
    found = compare(side("base", *here), [side("new", *here[1:]), side("newer", here[3])])
    assert [(each.stack, each.parameters["delay"], each.side) for each in found.changes] == [
        ("tcp", 2, "new"),
        ("mptcp", 1, "new"),
        ("mptcp", 2, "new"),
        ("mptcp", 2, "newer"),
    ]
    assert found.warnings[0] == "tcp (delay = 1) is in base, but not in new: not compared"
    assert len(found.warnings) == 4


def test_cells_may_differ_in_what_they_are_selected_by():
    mine = cell(stack="tcp", parameters={"delay": 1}, metrics={"goodput": QUIET})
    its = cell(
        stack="mptcp",
        parameters={"delay": 1, "stack.congestion": "reno"},
        metrics={"goodput": scaled(2)},
    )
    (change,) = compare(
        side("base", mine), [side("new", its)], Terms(apart=frozenset({"stack"}))
    ).changes
    assert (change.stack, change.new_stack, change.relative) == ("tcp", "mptcp", pytest.approx(1))


def test_sides_without_a_common_cell_are_refused():
    mine, its = (cell(stack=stack, metrics={"goodput": QUIET}) for stack in ("tcp", "mptcp"))
    with pytest.raises(InputError, match="new and base have no cell in common"):
        compare(side("base", mine), [side("new", its)])


def test_a_metric_that_no_run_has_is_refused():
    there = side("base", cell(metrics={"goodput": QUIET}))
    with pytest.raises(InputError, match=r"no run here has the metric 'rtt'; they have goodput"):
        compare(there, [there], Terms(metrics=("rtt",)))


def test_other_environments_are_refused_unless_they_are_what_is_compared():
    kernel = msgspec.structs.replace(ENVIRONMENT.kernel, release="7.3")
    newer = msgspec.structs.replace(ENVIRONMENT, kernel=kernel)
    base = side("base", cell(metrics={"goodput": QUIET}))
    new = side("new", cell(metrics={"goodput": QUIET}), environment=newer)
    with pytest.raises(InputError) as refused:
        compare(base, [new])
    assert str(refused.value) == (
        "new and base differ: kernel.release: 6.12, 7.3; "
        "add --across kernel if that is what you compare, or --force to compare anyway"
    )
    for terms in (
        Terms(across=frozenset({"kernel"})),
        Terms(across=frozenset({"environment"})),
        Terms(force=True),
    ):
        assert compare(base, [new], terms).counts == {Verdict.PASS: 1}


def test_a_comparison_is_a_value_that_json_can_carry():
    base = side("base", cell(metrics={"goodput": QUIET}))
    found = compare(base, [base])
    assert msgspec.json.decode(msgspec.json.encode(found), type=Comparison) == found


def test_where_time_is_virtual_a_side_without_runs_is_the_one_that_is_named():
    good = side("base", cell(metrics={"goodput": [1.0, 2.0]}), deterministic=True)
    none = side("new", cell(count=0, planned=2), deterministic=True)
    (change,) = compare(good, [none]).changes
    assert (change.verdict, change.why) == (Verdict.INCONCLUSIVE, "no run of new measured it")
    assert change.base is not None
    assert change.base.mean == 1.5


def test_where_time_is_virtual_sides_without_a_common_repetition_are_not_compared():
    base, new = (
        side(
            name,
            msgspec.structs.replace(cell(metrics={"goodput": [1.0]}), repetitions=(repetition,)),
            deterministic=True,
        )
        for name, repetition in (("base", 1), ("new", 2))
    )
    (change,) = compare(base, [new]).changes
    assert change.verdict is Verdict.INCONCLUSIVE
    assert change.why == "the two sides have no repetition in common"
