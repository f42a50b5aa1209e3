"""What finished runs say together, and which runs are left to do."""

from __future__ import annotations

import msgspec
import pytest

from testbed import document
from testbed.experiment import runner
from testbed.experiment.load import load
from testbed.experiment.outcome import outcome
from testbed.experiment.spec import ExperimentSpec
from testbed.results.model import Proof, RunRecord, Status
from testbed.results.store import Store

TEXT = """
description: how much
topology: {nodes: {client: {}, server: {}}, links: {wifi: {between: [client, server], netem: {}}}}
workload: {kind: bulk, from: client, to: server, size: 1MB}
matrix: {links.wifi.delay: [1ms, 2ms]}
repetitions: 2
expect: [{metric: goodput, stack: mptcp, relative_to: tcp, at_least: 3}]
"""
SPEC = document.loads(TEXT, ExperimentSpec, "try.yaml").value


def run(number, cell, goodput, status=Status.OK):
    return RunRecord(
        number=number,
        cell=cell,
        stack=("tcp", "mptcp")[cell % 2],
        parameters={"links.wifi.delay": ("1ms", "2ms")[cell // 2]},
        repetition=1,
        seed=number,
        status=status,
        reason=None if status is Status.OK else "it broke",
        started_at="",
        seconds=1,
        metrics={"goodput": goodput, "duration": 1.0},
        proof=Proof(subflows=2 if cell % 2 else None),
    )


GOODPUTS = (10.0, 20.0, 10.0, 40.0, 12.0, 22.0, 12.0, 44.0)
ALL = [run(number, (number - 1) % 4, value) for number, value in enumerate(GOODPUTS, 1)]


def test_a_row_per_cell():
    result = outcome("try", SPEC, ALL)
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
    relative = [cell.relative for cell in outcome("try", SPEC, ALL).cells]
    assert relative[0] is None
    assert relative[2] is None
    assert relative[1].value == pytest.approx(21 / 11)
    assert relative[3].value == pytest.approx(42 / 11)


@pytest.mark.parametrize("status", [Status.FAILED, Status.INVALID])
def test_a_run_that_is_not_ok_enters_no_mean(status):
    runs = [*ALL[:-1], run(8, 3, 1e9, status)]
    result = outcome("try", SPEC, runs)
    last = result.cells[3]
    assert (last.ok, last.failed + last.invalid) == (1, 1)
    assert last.metrics["goodput"].mean == 40.0
    (problem,) = result.problems
    assert (problem.run, problem.status, problem.reason) == (8, status, "it broke")


def test_a_part_can_be_summed_up():
    result = outcome("try", SPEC, ALL[:3])
    assert result.missing == 5
    assert result.cells[3].metrics == {}
    assert result.cells[3].relative is None
    assert not result.regressed


def test_a_claim_that_is_surely_not_met_is_a_regression():
    assert outcome("try", SPEC, ALL).regressed


def test_an_outcome_survives_json():
    result = outcome("try", SPEC, ALL)
    assert msgspec.json.decode(msgspec.json.encode(result), type=type(result)) == result


@pytest.fixture
def store(tmp_path):
    (tmp_path / "try.yaml").write_text(TEXT)
    experiment = load(tmp_path / "try.yaml")
    store = runner.create(experiment, tmp_path / "results")
    for planned in runner.plan(experiment)[:3]:
        status = Status.INVALID if planned.number == 2 else Status.OK
        store.begin_run(planned.number)
        store.finish_run(run(planned.number, planned.cell.index, 10.0, status), {})
    store.begin_run(4)  # and then it was killed
    return store


def test_resuming_does_what_is_missing_in_the_same_order(store):
    experiment = runner.resume(store)
    left = runner.missing(experiment, store, again=False)
    assert left == runner.plan(experiment)[3:]


def test_runs_that_do_not_count_can_be_done_again(store):
    left = runner.missing(runner.resume(store), store, again=True)
    assert [planned.number for planned in left] == [2, 4, 5, 6, 7, 8]


def test_a_folder_from_another_environment_is_not_continued(store):
    path = store.path / "environment.json"
    content = msgspec.json.decode(path.read_bytes())
    content["kernel"]["release"] = "4.19.0"
    path.write_bytes(msgspec.json.encode(content))
    with pytest.raises(Exception, match=r"another environment: kernel: .*4\.19\.0"):
        runner.resume(Store.open(store.path))


def test_a_folder_is_summed_up_from_disk_alone(store):
    result = runner.conclude(Store.open(store.path))
    assert result.missing == 5
    assert len(result.problems) == 1
