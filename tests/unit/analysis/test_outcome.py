"""The outcome of finished runs."""

from __future__ import annotations

import msgspec
import pytest

from testbed import document
from testbed.analysis.outcome import outcome
from testbed.experiment.asked import asked
from testbed.experiment.spec import ExperimentSpec
from testbed.results.model import WORKLOAD, FlowRecord, Proof, RunRecord, StackRecord, Status

TEXT = """
description: how much
topology: {nodes: {client: {}, server: {}}, links: {wifi: {between: [client, server], netem: {}}}}
workload: {kind: bulk, from: client, to: server, size: 1MB}
matrix: {links.wifi.delay: [1ms, 2ms]}
repetitions: 2
expect: [{metric: goodput, stack: mptcp, relative_to: tcp, at_least: 3}]
"""
ASKED = asked("try", document.loads(TEXT, ExperimentSpec, "try.yaml").value)


def flow(subflows):
    """Return the one flow of a run."""
    proof = Proof(subflows=subflows)
    return FlowRecord(kind="bulk", source="client", target="server", proof=proof)


def run(number, cell, goodput, status=Status.OK):
    return RunRecord(
        number=number,
        stack=("tcp", "mptcp")[cell % 2],
        parameters={"links.wifi.delay": ("1ms", "2ms")[cell // 2]},
        repetition=1,
        seed=number,
        status=status,
        reason=None if status is Status.OK else "it broke",
        started_at="",
        seconds=1,
        metrics={"goodput": goodput, "duration": 1.0},
        flows={WORKLOAD: flow(2 if cell % 2 else None)},
    )


GOODPUTS = (10.0, 20.0, 10.0, 40.0, 12.0, 22.0, 12.0, 44.0)
ALL = [run(number, (number - 1) % 4, value) for number, value in enumerate(GOODPUTS, 1)]


def test_a_row_per_cell():
    result = outcome(ASKED, ALL)
    assert (result.experiment, result.description) == ("try", "how much")
    assert result.headline == ("goodput", "duration")
    assert [(cell.stack, cell.ok, cell.planned) for cell in result.cells] == [
        ("tcp", 2, 2),
        ("mptcp", 2, 2),
    ] * 2
    assert [cell.metrics["goodput"].mean for cell in result.cells] == [11.0, 21.0, 11.0, 42.0]
    assert [cell.subflows for cell in result.cells] == [(), (2,), (), (2,)]
    assert result.missing == 0


def test_each_stack_is_compared_with_the_first_under_the_same_parameters():
    relative = [cell.relative for cell in outcome(ASKED, ALL).cells]
    assert relative[0] is None
    assert relative[2] is None
    assert relative[1].value == pytest.approx(21 / 11)
    assert relative[3].value == pytest.approx(42 / 11)


@pytest.mark.parametrize("status", [Status.FAILED, Status.INVALID])
def test_a_run_that_is_not_ok_enters_no_mean(status):
    runs = [*ALL[:-1], run(8, 3, 1e9, status)]
    result = outcome(ASKED, runs)
    last = result.cells[3]
    assert (last.ok, last.failed + last.invalid) == (1, 1)
    assert last.metrics["goodput"].mean == 40.0
    (problem,) = result.problems
    assert (problem.run, problem.status, problem.reason) == (8, status, "it broke")


def test_a_part_can_be_summed_up():
    result = outcome(ASKED, ALL[:3])
    assert result.missing == 5
    assert result.cells[3].metrics == {}
    assert result.cells[3].relative is None
    assert not result.regressed


def test_a_claim_that_is_surely_not_met_is_a_regression():
    assert outcome(ASKED, ALL).regressed


def test_an_outcome_survives_json():
    result = outcome(ASKED, ALL)
    assert msgspec.json.decode(msgspec.json.encode(result), type=type(result)) == result


def test_the_reference_is_the_first_stack_at_the_same_point_whatever_stacks_parameters_are():
    text = TEXT.replace("matrix: {", "stacks: [tcp, userspace]\nmatrix: {stack.scheduler: [ecf], ")
    text = text.replace(
        "expect: [{metric: goodput, stack: mptcp, relative_to: tcp, at_least: 3}]", ""
    )
    about = asked("try", document.loads(text, ExperimentSpec, "try.yaml").value)
    runs = [
        msgspec.structs.replace(
            run(number, 0, 10.0 * number), stack=cell.stack, parameters=cell.parameters
        )
        for number, cell in enumerate(about.cells, 1)
    ]
    relative = [cell.relative and cell.relative.value for cell in outcome(about, runs).cells]
    assert relative == [None, 2.0, None, pytest.approx(4 / 3)]


def controlled(number, cell, control):
    stack = StackRecord(name="x", used={"source": {"congestion": control}, "target": {}})
    return msgspec.structs.replace(run(number, cell, 10.0), stacks={WORKLOAD: stack})


def test_congestion_controls_are_named_and_where_they_differ_it_is_said():
    alike = outcome(ASKED, [controlled(1, 0, "cubic"), controlled(2, 1, "cubic")])
    assert [cell.congestion for cell in alike.cells[:2]] == [("cubic",), ("cubic",)]
    assert alike.remarks == ()
    other = outcome(ASKED, [controlled(1, 0, "cubic"), controlled(2, 1, "bbr")])
    (remark,) = other.remarks
    assert "different congestion controls (tcp cubic, mptcp bbr)" in remark
