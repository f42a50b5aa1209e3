"""Ranges against a plain set of positions: what each method says of them."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from testbed.stack.ranges import Ranges

POSITIONS = range(41)
PAIRS = st.tuples(st.integers(0, 40), st.integers(0, 40))


def positions(ranges: Ranges) -> set[int]:
    found = list(ranges)
    assert all(start < end for start, end in found)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(found))
    return {position for start, end in found for position in range(start, end)}


@given(st.lists(st.tuples(st.sampled_from(["add", "remove", "before"]), PAIRS), max_size=20))
def test_they_are_the_positions_that_were_added_and_not_removed(steps):
    ranges, known = Ranges(), set()
    for what, (start, end) in steps:
        named = set(range(start, end))
        if what == "add":
            new = ranges.add(start, end)
            assert {at for first, last in new for at in range(first, last)} == named - known
            known |= named
        elif what == "remove":
            ranges.remove(start, end)
            known -= named
        else:
            ranges.remove_before(end)
            known -= set(range(end))
        assert positions(ranges) == known
    assert bool(ranges) == bool(known)
    found = list(ranges)
    assert list(ranges.first_few(2)) == found[:2]
    assert ranges.first() == (found[0] if found else None)
    assert ranges.last() == (found[-1] if found else None)
    for at in POSITIONS:
        holding = [each for each in found if each[0] <= at < each[1]]
        assert ranges.around(at) == (holding[0] if holding else None)
