"""The page of performance shows what has become slower."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program that writes it."""
    monkeypatch.syspath_prepend(BENCH)
    import _page  # noqa: PLC0415 - found there alone

    yield _page
    for name in ("_page", "_figures", "_region"):
        sys.modules.pop(name)


def record(page: Any, *, us: float, ratio: float, anchor: float, **place: str) -> Any:
    """Return a line of the history: a time, and a goodput beside an anchor."""
    figures = [
        page.Figure(what="a segment", value=us, unit="us", better="lower", goal=12.0,
                    build="interpreted"),
        page.Figure(what="goodput", value=10 * ratio, unit="Gbit/s", better="higher", goal=0.6,
                    beside=page.Beside("kernel", 10.0), build="compiled"),
    ]  # fmt: skip
    where = {"machine": "a, 2 cores", "python": "3.11.7", **place}
    return page.Record(at="2026-11-29T21:00:00", commit="c0ffee", anchor_us=anchor, load=0.5,
                       figures=figures, **where)  # fmt: skip


def lines(page: Any, *records: Any) -> list[str]:
    return page.table(records).splitlines()[2:4]


def test_a_figure_is_shown_beside_its_anchor_and_its_goal(page: Any) -> None:
    assert lines(page, record(page, us=11.0, ratio=0.5, anchor=100.0)) == [
        "| a segment | interpreted | 11 us |  |  | 12 (met) |  |",
        "| goodput | compiled | 5 Gbit/s | kernel: 10 Gbit/s | 0.50 | 0.6 (missed) |  |",
    ]


def test_a_slow_down_shows_and_a_slow_machine_does_not(page: Any) -> None:
    before = [record(page, us=us, ratio=0.5, anchor=100.0) for us in (10.0, 10.2, 9.8)]
    slow_machine = record(page, us=20.0, ratio=0.5, anchor=200.0)
    assert [line.split("|")[-2].strip() for line in lines(page, *before, slow_machine)] == [
        "none",
        "none",
    ]
    slower = record(page, us=12.0, ratio=0.55, anchor=100.0)
    assert [line.split("|")[-2].strip() for line in lines(page, *before, slower)] == [
        "**20% worse**",
        "10% better",
    ]


def test_another_machine_begins_anew(page: Any) -> None:
    old = record(page, us=10.0, ratio=0.5, anchor=100.0)
    new = record(page, us=50.0, ratio=0.5, anchor=100.0, machine="b, 8 cores")
    assert all(line.endswith("|  |") for line in lines(page, old, new))
