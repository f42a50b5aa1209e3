"""Axes have round ticks and hold every value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.report.axes import axis, seconds


@pytest.mark.parametrize(
    ("high", "unit", "ticks", "name"),
    [
        (42e6, "bit/s", "0 10 20 30 40 50", "Mbit/s"),
        (0.12, "s", "0 25 50 75 100 125", "ms"),
        (3 * 2**20, "octets", "0 1 2 3", "MiB"),
        (7, "1", "0 2 4 6 8", ""),
        (0, "s", "0.00 0.25 0.50 0.75 1.00", "s"),
    ],
)
def test_ticks_are_round(high, unit, ticks, name) -> None:
    made = axis(high, unit)
    assert made.unit == name
    assert " ".join(text for _, text in made.ticks) == ticks


@given(st.floats(min_value=-1e12, max_value=1e12), st.floats(min_value=-1e12, max_value=1e12))
def test_all_values_lie_on_the_axis(one, other) -> None:
    low, high = min(one, other), max(one, other)
    made = axis(high, "bit/s", low=low)
    assert -1e-6 <= made.place(low) <= made.place(high) <= 1 + 1e-6
    assert 2 <= len(made.ticks) <= 12


def test_time_ends_with_the_run() -> None:
    made = seconds(11.4)
    assert made.high == 11.4
    assert [text for _, text in made.ticks] == ["0", "2", "4", "6", "8", "10"]
