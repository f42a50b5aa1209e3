"""The judgement of a version: it belongs to the good or the bad end of a search."""

from __future__ import annotations

import pytest

from testbed.analysis import judgement
from testbed.analysis.comparison import Terms, compare
from testbed.analysis.judgement import Judgement
from tests.unit.analysis.sides import cell, side

TERMS = Terms(metrics=("goodput", "duration"))
WORSE = judgement.sought(new_is_better=False)
BETTER = judgement.sought(new_is_better=True)


def of(name, goodput, duration=1.0, stack="mptcp"):
    metrics = {"goodput": [goodput], "duration": [duration]}
    return side(name, cell(stack, metrics=metrics), deterministic=True)


def held(new, base=None):
    return compare(base or of("good", 40e6), [new], TERMS)


def test_the_fault_is_the_rows_in_which_the_bad_end_is_worse():
    rows = judgement.fault(held(of("bad", 20e6)), WORSE)
    assert rows == (('["mptcp",[]]', "goodput"),)
    assert judgement.fault(held(of("bad", 60e6)), WORSE) == ()
    assert judgement.fault(held(of("bad", 60e6)), BETTER) == rows


def test_only_the_rows_of_the_fault_count():
    rows = judgement.fault(held(of("bad", 20e6)), WORSE)
    assert judgement.judge(held(of("one", 30e6)), rows, WORSE) is Judgement.BAD
    assert judgement.judge(held(of("one", 40e6, duration=9.0)), rows, WORSE) is Judgement.GOOD
    assert judgement.judge(held(of("one", 60e6)), rows, WORSE) is Judgement.GOOD


def test_a_number_that_is_not_there_is_not_decided():
    rows = (*judgement.fault(held(of("bad", 20e6)), WORSE), ('["mptcp",[]]', "rtt_p95"))
    assert judgement.judge(held(of("one", 40e6)), rows, WORSE) is None
    assert judgement.judge(held(of("one", 20e6)), rows, WORSE) is Judgement.BAD


def test_a_metric_without_a_better_direction_counts_either_way():
    good, more = (
        side(name, cell(metrics={"segments": [count]}), deterministic=True)
        for name, count in (("good", 100.0), ("more", 101.0))
    )
    terms = Terms(metrics=("segments",))
    for wanted in (WORSE, BETTER):
        assert judgement.fault(compare(good, [more], terms), wanted)
        assert judgement.fault(compare(more, [good], terms), wanted)


@pytest.mark.parametrize(
    ("goodput", "new_is_better", "hint"),
    [
        (60e6, False, "to search for an improvement, add --new-is-better"),
        (20e6, True, "remove --new-is-better"),
        (40e6, False, "name other ends"),
    ],
)
def test_ends_that_do_not_differ_as_they_should_are_told(goodput, new_is_better, hint):
    error = judgement.refuse_ends(held(of("bad", goodput)), new_is_better=new_is_better)
    word = "better" if new_is_better else "worse"
    assert f"bad is not {word} than good (" in str(error)
    assert hint in str(error)
