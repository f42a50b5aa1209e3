"""Numbers for people."""

from __future__ import annotations

import pytest

from testbed.analysis import numbers
from testbed.analysis.statistics import Estimate, Interval, Ratio


def estimate(mean, interval=None):
    return Estimate(n=3, mean=mean, median=mean, interval=interval)


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("goodput", 45.34e6, "45.3 Mbit/s"),
        ("goodput", 1.2345e9, "1.23 Gbit/s"),
        ("goodput", 999.0, "999 bit/s"),
        ("goodput", 0.0, "0.00 bit/s"),
        ("duration", 8.856, "8.86 s"),
        ("duration", 0.0521, "52.1 ms"),
        ("duration", 0.000_052, "52.0 µs"),
        ("transactions", 1234.0, "1234"),
        ("transactions", 2.0**53 - 1, "9007199254740991"),
        ("transactions", 1e308, "1e+308"),
        ("goodput", 1e308, "1e+299 Gbit/s"),
        (None, 2.2914, "2.29"),
    ],
)
def test_three_digits_and_the_unit_that_fits(metric, value, text):
    assert numbers.number(metric, value, None) == text


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (0.0123, "+1.2%"),
        (-0.5, "-50.0%"),
        (99.0, "+9900.0%"),
        (1.5e6, "x1.5e+06"),
        (1e308, "x1e+308"),
    ],
)
def test_a_very_large_change_is_a_factor(change, text):
    assert numbers.percent(change) == text


def test_an_error_beyond_what_is_exact_is_short():
    wide = estimate(1e308, Interval(0.0, 1.5e308))
    assert numbers.quantity("transactions", wide) == "1e+308 ±1e+308"


def test_an_interval_has_the_units_of_its_value():
    assert numbers.number("goodput", 1e9, Interval(9e8, 1.1e9)) == "1.00 Gbit/s [0.90, 1.10]"


def test_a_mean_may_be_off_by_the_wider_half():
    assert numbers.quantity("goodput", estimate(45.3e6, Interval(45e6, 45.4e6))) == (
        "45.3 ±0.3 Mbit/s"
    )
    assert numbers.times(Ratio(value=2.0, interval=Interval(1.9, 2.25))) == "2.00 ±0.25"


def test_a_single_value_says_nothing_about_its_error():
    assert numbers.quantity("duration", estimate(2.0)) == "2.00 s"
    assert numbers.times(Ratio(value=2.0, interval=None)) == "2.00"


@pytest.mark.parametrize(
    ("mean", "interval", "text"),
    [
        (47.0, None, "47"),
        (47.0, Interval(47.0, 47.0), "47 ±0"),
        (47.0, Interval(46.6, 47.3), "47.0 ±0.4"),
        (0.0, Interval(0.0, 0.0), "0 ±0"),
        (2.5, None, "2.50"),
    ],
)
def test_a_count_is_whole_where_it_is_one(mean, interval, text):
    assert numbers.quantity("retransmitted_segments", estimate(mean, interval)) == text


def test_a_share_is_no_count_of_digits():
    assert numbers.quantity("share", estimate(0.654, Interval(0.65, 0.66))) == "0.65 ±0.01"
