"""The metrics by which two results of an experiment are compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.analysis.comparison import Terms, compare
from testbed.experiment.asked import asked
from testbed.experiment.load import load
from tests.unit.analysis.sides import cell, side

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("name", "metrics"),
    [
        ("quickstart", ("goodput", "duration")),
        ("link_failure", ("goodput", "duration", "longest_gap")),
    ],
)
def test_claims_add_their_metrics(name: str, metrics: tuple[str, ...]) -> None:
    """A slower hand-over is a change for the worse, also where the goodput is as before."""
    experiment = load(ROOT / "experiments" / f"{name}.yaml")
    assert asked(name, experiment.spec).compared == metrics


def test_a_metric_that_a_stack_does_not_have_makes_no_row() -> None:
    def measured(share: float) -> object:
        return side(
            "base",
            cell(stack="tcp", metrics={"goodput": [1.0] * 10}),
            cell(stack="mptcp", metrics={"goodput": [1.0] * 10, "@lte.share": [share] * 10}),
        )

    rows = compare(measured(0.5), [measured(0.4)], Terms(metrics=("goodput", "@lte.share"))).changes
    assert [(row.stack, row.metric) for row in rows] == [
        ("tcp", "goodput"),
        ("mptcp", "goodput"),
        ("mptcp", "@lte.share"),
    ]
