from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed import units
from testbed.errors import InputError

VALUES = st.integers(min_value=0, max_value=2**63 - 1)


@pytest.mark.parametrize(
    ("text", "bits_per_second"),
    [
        ("9600", 9600),
        ("20mbit", 20_000_000),
        ("20Mbit", 20_000_000),
        (" 1.5gbit ", 1_500_000_000),
        ("1tbit", 10**12),
        ("1kibit", 1024),
        ("10kbps", 80_000),
        ("1mibps", 8 * 1024**2),
        ("0.5kbit", 500),
    ],
)
def test_rates_as_in_tc(text: str, bits_per_second: int) -> None:
    assert units.parse_rate(text) == bits_per_second


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("15ms", 15_000_000),
        ("1.5s", 1_500_000_000),
        ("2secs", 2_000_000_000),
        ("20us", 20_000),
        ("7ns", 7),
        ("0.1ms", 100_000),
        ("0", 0),
        ("0.0", 0),
    ],
)
def test_times_as_in_tc(text: str, time_ns: int) -> None:
    assert units.parse_time(text) == time_ns


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("1500", 1500),
        ("1500b", 1500),
        ("64k", 65536),
        ("64kb", 65536),
        ("64KiB", 65536),
        ("1.5m", 1_572_864),
        ("2gb", 2 * 1024**3),
        ("8kbit", 1024),
        ("1mbit", 131_072),
    ],
)
def test_sizes_as_in_tc(text: str, octets: int) -> None:
    assert units.parse_size(text) == octets


@pytest.mark.parametrize(
    ("text", "probability"),
    [("1%", 0.01), ("1", 0.01), ("0.5%", 0.005), ("100%", 1.0), ("0", 0.0), (".1%", 0.001)],
)
def test_percentages_as_in_tc(text: str, probability: float) -> None:
    assert units.parse_percent(text) == probability


@pytest.mark.parametrize(
    ("parse", "text", "says"),
    [
        (units.parse_rate, "20mb", "did you mean 20mbit?"),
        (units.parse_rate, "-5mbit", "cannot be negative"),
        (units.parse_rate, "", "not a rate"),
        (units.parse_rate, "fast", "not a rate"),
        (units.parse_rate, "1" * 31, "not a rate"),
        (units.parse_rate, "99999999999tbit", "too large"),
        (units.parse_rate, "1e999999999", "not a rate"),
        (units.parse_time, "15", "write 15s or 15ms"),
        (units.parse_time, "15 ms", "not a time"),
        (units.parse_time, "5parsec", "unknown unit"),
        (units.parse_time, "-1ms", "cannot be negative"),
        (units.parse_size, "5xyz", "unknown unit"),
        (units.parse_size, "٣kb", "not a size"),
        (units.parse_percent, "101%", "not between"),
        (units.parse_percent, "-1%", "not between"),
        (units.parse_percent, "1percent", "write it like 0.5%"),
        (units.parse_percent, "nan", "not a percentage"),
    ],
)
def test_what_cannot_be_read_is_explained(parse, text: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text)
    assert says in str(caught.value)


@given(VALUES)
def test_rates_survive_writing(value: int) -> None:
    assert units.parse_rate(units.format_rate(value)) == value


@given(VALUES)
def test_times_survive_writing(value: int) -> None:
    assert units.parse_time(units.format_time(value)) == value


@given(VALUES)
def test_sizes_survive_writing(value: int) -> None:
    assert units.parse_size(units.format_size(value)) == value


@given(st.floats(min_value=0, max_value=1).filter(lambda x: x == 0 or x > 1e-12))
def test_percentages_survive_writing(value: float) -> None:
    assert units.parse_percent(units.format_percent(value)) == value


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (units.format_rate(20_000_000), "20mbit"),
        (units.format_rate(1_500_000), "1500kbit"),
        (units.format_time(15_000_000), "15ms"),
        (units.format_time(1_500_000), "1500us"),
        (units.format_size(65536), "64kb"),
        (units.format_percent(0.005), "0.5%"),
        (units.format_percent(1), "100%"),
    ],
)
def test_values_are_written_as_a_person_would(text: str, wanted: str) -> None:
    assert text == wanted


@given(st.text(max_size=40))
def test_any_text_is_a_value_or_an_input_error(text: str) -> None:
    for parse in (units.parse_rate, units.parse_time, units.parse_size, units.parse_percent):
        with contextlib.suppress(InputError):
            assert parse(text) >= 0
