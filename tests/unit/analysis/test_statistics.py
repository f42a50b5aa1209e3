"""Intervals against what scipy and arithmetic say."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from testbed.analysis.statistics import Interval, difference, estimate, ratio

VALUES = [18.2, 18.9, 19.0, 19.1, 18.8, 17.9, 19.3]


def test_an_estimate_is_arithmetic_and_scipys_interval_with_its_percentiles_moved_outwards():
    result = estimate(VALUES)
    spread = stats.t.ppf(0.025, len(VALUES) - 1) * math.sqrt(len(VALUES) / (len(VALUES) - 1))
    expected = stats.bootstrap(
        (VALUES,),
        np.mean,
        method="percentile",
        n_resamples=100_000,
        confidence_level=1 - 2 * stats.norm.cdf(spread),
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert result.n == 7
    assert result.mean == pytest.approx(sum(VALUES) / 7)
    assert result.median == 18.9
    assert result.interval is not None
    assert result.interval.low == pytest.approx(expected.low, rel=2e-3)
    assert result.interval.high == pytest.approx(expected.high, rel=2e-3)


def test_a_difference_is_of_means_and_its_interval_is_about_welchs():
    base = [value + 0.5 for value in VALUES]
    result = difference(VALUES, base)
    assert result.value == pytest.approx(-0.5)
    expected = stats.ttest_ind(VALUES, base, equal_var=False).confidence_interval()
    assert result.interval is not None
    assert result.interval.low == pytest.approx(expected.low, abs=0.1)
    assert result.interval.high == pytest.approx(expected.high, abs=0.1)
    assert difference([1.0], VALUES).interval is None


def test_a_large_sample_is_drawn_from_in_parts():
    values = [float(number % 17) for number in range(1500)]
    interval = estimate(values).interval
    assert interval is not None
    half = 1.96 * float(np.std(values)) / math.sqrt(1500)
    assert interval.high - interval.low == pytest.approx(2 * half, rel=0.03)


@pytest.mark.parametrize("numerator", [[1.0, 2.0, 3.0], [0.0, 0.0, 3.0]])
def test_a_ratio_to_what_may_be_0_has_no_interval(numerator, recwarn):
    result = ratio(numerator, [[0.0, 0.0, 1.0]])
    assert result.value == pytest.approx(sum(numerator))
    assert result.interval is None
    assert not recwarn.list


def test_one_value_has_no_interval():
    result = estimate([5.0])
    assert (result.n, result.mean, result.median, result.interval) == (1, 5.0, 5.0, None)


def test_constant_values_have_an_interval_of_no_width_and_no_warning():
    assert estimate([2.0, 2.0, 2.0]).interval == Interval(2.0, 2.0)


def test_the_same_values_always_give_the_same_interval():
    assert estimate(VALUES) == estimate(list(VALUES))


def test_a_ratio_is_over_the_sum_of_means():
    result = ratio([45.0, 46.0, 47.0], [[20.0, 20.0], [29.0, 30.0, 31.0]])
    assert result.value == pytest.approx(46 / 50)
    assert result.interval is not None
    assert result.interval.low <= result.value <= result.interval.high


def test_a_ratio_of_constants_is_exact():
    assert ratio([3.0, 3.0], [[2.0, 2.0]]).interval == Interval(1.5, 1.5)


def test_a_ratio_with_a_single_run_on_one_side_has_no_interval():
    assert ratio([3.0, 3.1], [[2.0]]).interval is None
    assert ratio([3.0], [[2.0, 2.1]]).interval is None


@given(st.lists(st.floats(1, 1e9), min_size=2, max_size=8))
def test_the_interval_always_lies_within_the_values(values):
    interval = estimate(values).interval
    assert interval is not None
    assert math.isfinite(interval.low)
    assert min(values) * (1 - 1e-9) <= interval.low <= interval.high <= max(values) * (1 + 1e-9)


@pytest.mark.parametrize("size", [5, 20])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(size):
    generator = random.Random(7)
    covered = 0
    for _ in range(400):
        interval = estimate([generator.gauss(100, 5) for _ in range(size)]).interval
        covered += interval is not None and interval.low <= 100 <= interval.high
    assert 368 <= covered <= 392  # 95 % are 380; of five values it is some 93 %
