"""Thinned curves keep their peaks, and nothing is made up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testbed.report.thinning import thinned

VALUES = st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=400)


@given(VALUES, st.integers(4, 60))
def test_peaks_and_ends_are_kept(values, points) -> None:
    x = range(len(values))
    times, kept = thinned(x, values, points)
    assert len(times) == len(kept) <= max(points, 4)
    assert (min(kept), max(kept)) == (min(values), max(values))
    assert (times[0], times[-1]) == (0, len(values) - 1)
    assert all(values[time] == value for time, value in zip(times, kept, strict=True))
    assert list(times) == sorted(set(times))


def test_few_points_stay_as_they_are() -> None:
    assert thinned([1, 2, 3], [5, 6, 7], 4) == ((1, 2, 3), (5, 6, 7))


def test_all_at_one_time() -> None:
    assert thinned([1.0] * 10, [*range(10)], 4)[1] == (0, 9)
