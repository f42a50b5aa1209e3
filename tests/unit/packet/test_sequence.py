"""Positions that never wrap, from numbers that do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.packet.sequence import expand, expand_64

position = st.integers(1 << 33, 1 << 70)


@given(position, st.integers(-(1 << 31), (1 << 31) - 1))
def test_32_bits_find_what_is_less_than_half_a_turn_away(near: int, away: int) -> None:
    assert expand((near + away) & 0xFFFF_FFFF, near) == near + away


@given(st.integers(1 << 65, 1 << 70), st.integers(-(1 << 63), (1 << 63) - 1))
def test_64_bits_find_what_is_less_than_half_a_turn_away(near: int, away: int) -> None:
    assert expand_64((near + away) % (1 << 64), near) == near + away


@pytest.mark.parametrize(
    ("value", "near", "expanded"),
    [
        (0, 0xFFFF_FFFF, 1 << 32),
        (0xFFFF_FFFF, 1 << 32, 0xFFFF_FFFF),
        (5, 5, 5),
        (0x8000_0000, 1 << 32, 0x8000_0000),  # just half a turn: the older one
        (0x7FFF_FFFF, 1 << 32, 0x1_7FFF_FFFF),
    ],
)
def test_at_the_wrap(value: int, near: int, expanded: int) -> None:
    assert expand(value, near) == expanded
