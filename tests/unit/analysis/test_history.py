"""Changes of numbers in the history of many folders."""

from __future__ import annotations

import random

import msgspec
import pytest

from testbed.analysis.history import History, history
from testbed.analysis.sides import Side
from testbed.analysis.verdicts import Verdict
from testbed.errors import InputError
from tests.unit.analysis.sides import cell, side


def made(day: int, *cells: object, **more: object) -> Side:
    return msgspec.structs.replace(
        side(f"day {day}", *cells, **more), created_at=f"2026-03-{day:02d}T12:00:00.000+00:00"
    )


def days(means: list[float], spread: float = 0.01, seed: int = 1, **more: object) -> list[Side]:
    """Return a folder of five runs for each mean."""
    generator = random.Random(seed)
    return [
        made(
            day,
            cell(metrics={"goodput": [generator.gauss(mean, spread * mean) for _ in "12345"]}),
            **more,
        )
        for day, mean in enumerate(means, 1)
    ]


def changed(found: History) -> list[tuple[int, Verdict]]:
    (line,) = found.lines
    return [
        (place, point.change.verdict)
        for place, point in enumerate(line.points)
        if point.change is not None
    ]


def test_two_steps_are_found_where_they_are():
    found = history(days([100.0] * 6 + [85.0] * 5 + [110.0] * 6))
    assert changed(found) == [(6, Verdict.REGRESSED), (11, Verdict.IMPROVED)]
    change = found.lines[0].points[6].change
    assert change is not None
    assert change.relative == pytest.approx(-0.15, abs=0.01)
    assert change.base is not None
    assert change.base.n == 30


@pytest.mark.parametrize("count", [2, 3, 4, 20])
def test_where_nothing_changes_nothing_is_found(count):
    called = sum(bool(changed(history(days([100.0] * count, seed=seed)))) for seed in range(20))
    assert called == 0


def test_days_that_differ_by_themselves_are_no_changes():
    """Runs within a folder are similar, folders differ by 10 %: the state of the machine varies."""
    generator = random.Random(2)
    means = [100 * (1 + generator.gauss(0, 0.05)) for _ in range(20)]
    assert changed(history(days(means, spread=0.001))) == []


def test_a_change_that_is_not_relevant_is_none_unless_it_is_wanted():
    sides = days([100.0] * 8 + [97.0] * 8, spread=0.003)
    assert changed(history(sides)) == []
    assert changed(history(sides, threshold=0.01)) == [(8, Verdict.REGRESSED)]


def test_two_folders_are_enough():
    assert changed(history(days([100.0, 80.0]))) == [(1, Verdict.REGRESSED)]


def test_where_time_is_virtual_every_difference_is_a_change():
    sides = [
        made(day, cell(metrics={"goodput": [value]}), deterministic=True)
        for day, value in enumerate((1.0, 1.0, 0.9999, 0.9999, 1.0), 1)
    ]
    assert changed(history(sides)) == [(2, Verdict.REGRESSED), (4, Verdict.IMPROVED)]


def test_folders_are_put_in_order_and_may_lack_a_cell_or_numbers():
    first, second, third = days([100.0, 101.0, 80.0])
    empty = msgspec.structs.replace(made(9), cells=())
    found = history([third, empty, first, second])
    (line,) = found.lines
    assert [point.side for point in line.points] == ["day 1", "day 2", "day 3", "day 9"]
    assert line.points[3].estimate is None
    assert changed(found) == [(2, Verdict.REGRESSED)]


def test_another_experiment_or_one_folder_is_refused():
    with pytest.raises(InputError, match="a history needs two or more folders"):
        history(days([1.0]))
    other = made(9, cell(metrics={"goodput": [1.0]}), spec={"workload": {"size": "9MB"}})
    with pytest.raises(InputError, match=r"of different experiments: workload.size: 1MB, 9MB"):
        history([*days([1.0]), other])
