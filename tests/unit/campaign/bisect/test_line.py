"""A binary search over a list."""

from __future__ import annotations

import pytest

from testbed.analysis.judgement import Judgement
from testbed.campaign.bisect.line import Line
from testbed.campaign.bisect.model import Candidate

NAMES = [str(number) for number in range(9)]


def search(first_bad, skipped=()):
    """Return what is found, and which candidates were judged."""
    line = Line([Candidate(name=name) for name in NAMES])
    judged = []
    while (candidate := line.current()) is not None:
        number = int(candidate.name)
        judged.append(number)
        if number in skipped:
            line.mark(candidate, Judgement.SKIP)
        else:
            line.mark(candidate, Judgement.BAD if number >= first_bad else Judgement.GOOD)
    return [int(it.name) for it in line.culprits()], judged


@pytest.mark.parametrize("first_bad", range(1, len(NAMES)))
def test_the_first_bad_one_is_found_in_the_fewest_steps(first_bad):
    found, judged = search(first_bad)
    assert found == [first_bad]
    assert len(judged) == 3


def test_those_that_were_skipped_may_be_it():
    found, judged = search(5, skipped={3, 4})
    assert found == [3, 4, 5]
    assert sorted(judged) == [2, 3, 4, 5]
    assert search(5, skipped={7})[0] == [5]


def test_two_ends_need_no_step():
    line = Line([Candidate(name="a"), Candidate(name="b")])
    assert line.current() is None
    assert [it.name for it in line.culprits()] == ["b"]
