"""Curves over time say what the probes saw."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.analysis.derived import Observed
from testbed.report import plots
from testbed.report.running import highest
from testbed.report.timeline import QUANTITIES, Styles, timeline
from testbed.results.store import Store


@pytest.fixture(scope="module")
def drawn(simulated):
    """The curves of one run of each stack, with one set of styles."""
    store, styles = Store.open(simulated), Styles()
    runs = {run.stack: run for run in reversed(store.runs())}
    return {
        stack: timeline(run, store.series(run.number), styles, points=60, name="run", group="all")
        for stack, run in runs.items()
    }


def panel(figure, quantity):
    return next(each for each in figure.panels if each.quantity == quantity)


def test_goodput_adds_up_to_what_was_acknowledged(simulated, drawn) -> None:
    store = Store.open(simulated)
    run = next(run for run in store.runs() if run.number == drawn["userspace"].run)
    (flow,) = Observed(run, store.series(run.number)).flows
    acked = {it.link: it.last.bytes_acked for it in flow.sender.subflows}
    for curve in panel(drawn["userspace"], "Goodput").curves:
        octets = sum(np.diff(curve.x) * curve.y[:-1]) / 8
        assert octets == pytest.approx(acked[curve.name], rel=1e-3)


def test_what_the_application_read_is_the_goodput(simulated, drawn) -> None:
    run = next(run for run in Store.open(simulated).runs() if run.number == drawn["userspace"].run)
    (read,) = panel(drawn["userspace"], "Goodput").over
    octets = sum(np.diff(read.x) * read.y[:-1]) / 8
    assert octets == pytest.approx(run.metrics["goodput"] * run.metrics["duration"] / 8, rel=0.01)


def test_tcp_has_no_order_of_data(drawn) -> None:
    assert {each.quantity for each in drawn["userspace"].panels} == set(QUANTITIES)
    assert "Out-of-order data" not in {each.quantity for each in drawn["userspace-tcp"].panels}


def test_events_are_marked_with_letters(drawn) -> None:
    marks = [(mark.letter, round(mark.t, 3), mark.text) for mark in drawn["userspace"].marks]
    assert marks == [("A", 1.0, "link wifi: blackhole"), ("B", 2.0, "link wifi: up")]


def test_one_path_looks_the_same_in_all_figures(drawn) -> None:
    styles = {
        (curve.name, curve.style)
        for figure in drawn.values()
        for each in figure.panels[:3]
        for curve in each.curves
    }
    assert styles == {("wifi", 0), ("lte", 1)}
    backlog = panel(drawn["userspace"], "Backlog of the wires")
    assert {curve.name: curve.style for curve in backlog.curves}.items() >= {
        "wifi>server": 0,
        "lte>server": 1,
    }.items()


def test_curves_have_no_more_points_than_asked(drawn) -> None:
    for figure in drawn.values():
        for each in figure.panels:
            assert all(len(curve.x) <= 60 for curve in (*each.curves, *each.over))


def test_a_quantity_that_only_others_have_leaves_a_gap(drawn) -> None:
    tops = highest(drawn.values())
    assert list(tops) == list(QUANTITIES)
    assert plots.timeline(drawn["userspace-tcp"], tops, 3.0).count("this run has none") == 1
    assert "this run has none" not in plots.timeline(drawn["userspace"], tops, 3.0)
