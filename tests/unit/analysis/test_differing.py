"""Tests, effect sizes and what samples can show, against what scipy says."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from testbed.analysis.differing import (
    adjusted,
    cliffs_delta,
    detectable,
    mann_whitney,
    repetitions_to_exclude,
    repetitions_to_find,
)

DISTINCT = st.lists(st.integers(0, 10_000), min_size=4, max_size=24, unique=True)
TIED = st.lists(st.integers(0, 4), min_size=2, max_size=6)


@given(DISTINCT, st.integers(1, 3))
@settings(deadline=None)
def test_without_ties_it_is_scipys_exact_test(values, size):
    base, new = values[:size], values[size:]
    expected = stats.mannwhitneyu(base, new, method="exact").pvalue
    found = mann_whitney(base, new)
    assert found.name == "Mann-Whitney U, exact"
    assert found.p == pytest.approx(expected)
    assert found.least <= found.p * (1 + 1e-9)


@given(TIED, TIED)
@settings(deadline=None, max_examples=25)
def test_with_ties_it_is_the_permutation_test_of_the_rank_sum(base, new):
    ranks = list(stats.rankdata([*base, *new]))

    def far(first, second):
        return abs(sum(first) - len(first) * sum(ranks) / len(ranks))

    expected = stats.permutation_test(
        (ranks[: len(base)], ranks[len(base) :]), far, alternative="greater", n_resamples=10**6
    ).pvalue
    assert mann_whitney(base, new).p == pytest.approx(expected)


def test_of_many_values_it_is_scipys_approximation():
    generator = random.Random(3)
    base = [generator.randrange(30) for _ in range(40)]
    new = [generator.randrange(4, 34) for _ in range(50)]
    found = mann_whitney(base, new)
    assert found.name == "Mann-Whitney U, normal approximation"
    assert found.p == pytest.approx(stats.mannwhitneyu(base, new, method="asymptotic").pvalue)
    assert mann_whitney([1.0] * 40, [1.0] * 40).p == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_many_tests_are_corrected_as_scipy_does(ps):
    assert adjusted(ps) == pytest.approx(list(stats.false_discovery_control(ps)))


def test_cliffs_delta_counts_pairs():
    assert cliffs_delta([1, 2, 3], [4, 5]) == 1
    assert cliffs_delta([4, 5], [1, 2, 3]) == -1
    assert cliffs_delta([1, 2], [1, 2]) == 0
    assert cliffs_delta([1, 3], [2, 4]) == 0.5


def test_what_is_detectable_is_mostly_detected():
    """Welch's test detects nine tenths of samples that differ by exactly this amount."""
    generator = random.Random(5)
    pattern = [generator.gauss(0, 3) for _ in range(12)]
    change = detectable(pattern, pattern, among=1)
    assert change is not None
    deviation = float(stats.tstd(pattern))
    found = 0
    for _ in range(400):
        base = [generator.gauss(0, deviation) for _ in range(12)]
        new = [generator.gauss(change, deviation) for _ in range(12)]
        found += stats.ttest_ind(base, new, equal_var=False).pvalue <= 0.05
    assert 340 <= found <= 385  # 360 are nine tenths


def test_nothing_is_detectable_with_too_few_values():
    assert detectable([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], among=1) is None
    assert detectable([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0], among=1) is not None
    assert detectable([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0], among=2) is None


def test_so_many_repetitions_show_just_that_change():
    sample = [8.0, 9.0, 10.0, 11.0, 12.0]
    size = repetitions_to_find(sample, sample, 1.0, among=1)
    assert size is not None
    assert 50 < size < 60  # 2 (1.96 + 1.28)² 2.5 = 52.5, and a little for Student's t
    assert repetitions_to_find(sample, sample, 1.0, among=20) > size
    assert repetitions_to_find(sample, sample, 1e-3, among=1) is None
    assert repetitions_to_find([1.0, 1.0], [1.0, 1.0], 1.0, among=1) == 4  # fewer cannot


def test_so_many_repetitions_make_the_interval_as_narrow():
    sample = [8.0, 9.0, 10.0, 11.0, 12.0]
    size = repetitions_to_exclude(sample, sample, 1.0)
    assert size is not None
    assert 19 < size < 25  # 2 · 1.96² 2.5 = 19.2
    assert repetitions_to_exclude(sample, sample, 1e-3) is None
