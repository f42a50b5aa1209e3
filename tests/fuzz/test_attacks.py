"""Attacks do no harm, and a packet costs as much with much state as with little."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from tests.fuzz import attack_table
from tests.fuzz.attack_table import Row
from tests.fuzz.attacks import ATTACKS, Result
from tests.fuzz.cost import Cost, Meter
from tests.fuzz.target import Target

PACKETS = 1000
MOST_GROWTH = 1.3  # a linear cost would have 10


class Calls:
    """A clock that counts calls of functions, including resumed generators.

    It counts from each odd reading to the next one.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._counts = False

    def __call__(self) -> float:
        self._counts = not self._counts
        sys.setprofile(self._see if self._counts else None)
        return self._seen

    def _see(self, _frame: FrameType, event: str, _argument: object) -> None:
        self._seen += event in ("call", "c_call")


@pytest.mark.interpreted
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_cost_does_not_grow_with_the_state(attack: Callable[[Target], Result]) -> None:
    result = attack(Target(Meter(Calls()), most=PACKETS))
    assert result.harmless, result.effect
    assert result.cost.growth < MOST_GROWTH


def test_linear_cost_is_seen() -> None:
    work = 0.0
    meter = Meter(lambda: work)
    for packet in range(1, PACKETS + 1):
        with meter.group(1):
            work += packet
    assert meter.cost().growth > 5


def test_page_has_one_row_for_each_attack() -> None:
    rows = [Row(attack(Target(most=50)), 1.0) for attack in ATTACKS]
    written = attack_table.rewritten(attack_table.PAGE.read_text(), rows)
    again = attack_table.rewritten(written, [Row(row.result, 2.0) for row in rows])
    assert len([1 for a, b in zip(written.splitlines(), again.splitlines(), strict=True)
                if a != b and a.startswith("|")]) == len(rows)  # fmt: skip


def test_attack_without_a_row_is_no_silent_loss() -> None:
    row = Row(Result("No such attack", Cost(1, 1), "", harmless=True), 1.0)
    with pytest.raises(LookupError, match="No such attack"):
        attack_table.rewritten(attack_table.PAGE.read_text(), [row])
