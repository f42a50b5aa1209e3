"""One experiment on several machines, side by side."""

from __future__ import annotations

import pytest

from testbed import document
from testbed.analysis.comparison import Measured, compare
from testbed.analysis.outcome import outcome
from testbed.experiment.asked import asked
from testbed.experiment.spec import ExperimentSpec
from testbed.results.model import WORKLOAD, FlowRecord, Proof, RunRecord, Status

TEXT = """
topology: {nodes: {client: {}, server: {}}, links: {wifi: {between: [client, server], netem: {}}}}
workload: {kind: bulk, from: client, to: server, size: 1MB}
matrix: {links.wifi.delay: [1ms, 2ms]}
stacks: [mptcp]
repetitions: 2
"""
ASKED = asked("try", document.loads(TEXT, ExperimentSpec, "try.yaml").value)


def flow(subflows):
    """Return the one flow of a run."""
    proof = Proof(subflows=subflows)
    return FlowRecord(kind="bulk", source="client", target="server", proof=proof)


def measured(machine, goodputs, *, status=Status.OK, subflows=2):
    """Return a machine's runs: two of each cell, in the order of the cells."""
    runs = [
        RunRecord(
            number=number,
            stack="mptcp",
            parameters={"links.wifi.delay": ("1ms", "2ms")[cell]},
            repetition=1,
            seed=number,
            status=status,
            reason=None if status is Status.OK else "it broke",
            started_at="",
            seconds=1,
            metrics={"goodput": goodput},
            flows={WORKLOAD: flow(subflows)},
        )
        for number, (cell, goodput) in enumerate(zip((0, 0, 1, 1), goodputs, strict=True), 1)
    ]
    return Measured(machine=machine, asked="", outcome=outcome(ASKED, runs), runs=runs)


def test_a_row_for_each_cell_and_machine_held_against_the_first():
    rows = compare(
        [measured("old", (9.0, 11.0, 40.0, 40.0)), measured("new", (19.0, 21.0, 20, 20))]
    )
    assert [(row.parameters["links.wifi.delay"], row.machine) for row in rows] == [
        ("1ms", "old"),
        ("1ms", "new"),
        ("2ms", "old"),
        ("2ms", "new"),
    ]
    assert [row.estimate.mean for row in rows] == [10.0, 20.0, 40.0, 20.0]
    assert [row.relative and row.relative.value for row in rows] == [None, 2.0, None, 0.5]
    assert rows[1].relative.interval.low < 2.0 < rows[1].relative.interval.high
    assert rows[3].relative.interval.low == rows[3].relative.interval.high == 0.5
    assert {row.metric for row in rows} == {"goodput"}
    assert {(row.ok, row.planned, row.subflows) for row in rows} == {(2, 2, (2,))}


@pytest.mark.parametrize("bad", [0, 1])
def test_what_has_no_run_that_counts_is_compared_with_nothing(bad):
    status = [Status.OK, Status.OK]
    status[bad] = Status.FAILED
    rows = compare([measured(f"m{i}", (10.0,) * 4, status=it) for i, it in enumerate(status)])
    assert [row.ok for row in rows[:2]] == [0 if number == bad else 2 for number in (0, 1)]
    assert rows[bad].estimate is None
    assert all(row.relative is None for row in rows)
