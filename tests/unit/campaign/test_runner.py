"""Which runs of an experiment are left to do."""

from __future__ import annotations

import msgspec
import pytest

from testbed.campaign import runner
from testbed.errors import InputError
from testbed.experiment import load as load_module
from testbed.experiment.load import load
from testbed.experiment.overrides import Overrides
from testbed.experiment.scenario import scenario
from testbed.results.model import RunRecord, Status
from testbed.results.store import Store

TEXT = """
topology: {nodes: {client: {}, server: {}}, links: {wifi: {between: [client, server], netem: {}}}}
workload: {kind: bulk, from: client, to: server, size: 1MB}
matrix: {links.wifi.delay: [1ms, 2ms]}
repetitions: 2
"""


def record(planned, status):
    return RunRecord(
        number=planned.number,
        stack=planned.cell.stack,
        parameters=planned.cell.parameters,
        repetition=planned.repetition,
        seed=planned.seed,
        status=status,
        reason=None if status is Status.OK else "it broke",
        started_at="",
        seconds=1,
        metrics={"goodput": 10.0, "duration": 1.0},
    )


@pytest.fixture
def store(tmp_path):
    (tmp_path / "try.yaml").write_text(TEXT)
    experiment = load(tmp_path / "try.yaml")
    store = runner.create(experiment, tmp_path / "results")
    for planned in runner.plan(experiment)[:3]:
        status = Status.INVALID if planned.number == 2 else Status.OK
        store.begin_run(planned.number)
        store.finish_run(record(planned, status))
    store.begin_run(4)  # the process was killed in this run
    return store


def test_resuming_does_what_is_missing_in_the_same_order(store):
    experiment = runner.resume(store)
    left = runner.missing(experiment, store, again=False)
    assert left == runner.plan(experiment)[3:]


def test_runs_that_do_not_count_can_be_done_again(store):
    left = runner.missing(runner.resume(store), store, again=True)
    assert [planned.number for planned in left] == [2, 4, 5, 6, 7, 8]


def test_a_run_whose_record_is_damaged_is_to_do(store):
    (store.path / "runs/0001/run.json").write_text("{")
    said = []
    left = runner.missing(runner.resume(store), store, again=False, on_damage=said.append)
    assert [planned.number for planned in left] == [1, 4, 5, 6, 7, 8]
    assert len(said) == 1
    assert "0001/run.json is damaged" in str(said[0])


def test_a_folder_from_another_environment_is_not_continued(store):
    path = store.path / "environment.json"
    content = msgspec.json.decode(path.read_bytes())
    content["kernel"]["release"] = "4.19.0"
    path.write_bytes(msgspec.json.encode(content))
    with pytest.raises(Exception, match=r"another environment: kernel.release: 4\.19\.0"):
        runner.resume(Store.open(store.path))


@pytest.mark.parametrize("key", ["events", "expect", "cases", "matrix", "workload"])
def test_a_folder_whose_experiment_is_damaged_is_not_continued(store, key):
    path = store.path / "experiment.json"
    content = msgspec.json.decode(path.read_bytes())
    content["spec"][key] = 7
    path.write_bytes(msgspec.json.encode(content))
    with pytest.raises(InputError, match=f"{key}: expected a"):
        runner.resume(Store.open(store.path))


def test_a_folder_is_summed_up_from_disk_alone(store):
    result = runner.conclude(Store.open(store.path))
    assert result.missing == 5
    assert len(result.problems) == 1


def carried_out(folder, mptcp, *, stop_at=None):
    """Carry out all runs that are due, as far as `stop_at`; return how many came at a time."""
    (folder / "try.yaml").write_text(
        TEXT + "expect: [{metric: goodput, stack: mptcp, relative_to: tcp, at_least: 1.5}]\n"
    )
    changes = Overrides(until_decided=True, repetitions=3, max_repetitions=8)
    experiment = load(folder / "try.yaml", changes)
    store = runner.create(experiment, folder / "results")
    blocks = []
    for runs in runner.due(experiment, store):
        blocks.append(len(runs))
        for planned in runs[:stop_at]:
            noise = 1 + planned.repetition % 3 / 10
            goodput = noise * (mptcp if planned.cell.stack == "mptcp" else 10.0)
            done = msgspec.structs.replace(
                record(planned, Status.OK), metrics={"goodput": goodput, "duration": 1.0}
            )
            store.begin_run(planned.number)
            store.finish_run(done)
    return blocks, store


def test_what_is_decided_needs_no_further_block(tmp_path):
    blocks, store = carried_out(tmp_path, 90.0)
    assert blocks == [12]  # 3 repetitions of 2 stacks and 2 values
    assert runner.conclude(store).missing == 0


def test_blocks_are_added_until_so_many_are_done(tmp_path):
    blocks, store = carried_out(tmp_path, 15.0)
    assert blocks == [12, 12, 8]
    found = runner.conclude(store)
    assert (found.missing, found.inconclusive) == (0, True)
    assert runner.missing(runner.resume(store), store, again=False) == ()


def test_no_block_follows_one_that_was_stopped(tmp_path):
    blocks, store = carried_out(tmp_path, 15.0, stop_at=5)
    assert blocks == [12]
    assert len(runner.missing(runner.resume(store), store, again=False)) == 7


def test_how_long_runs_take_is_asked_once_for_all_that_take_equally_long(tmp_path, monkeypatch):
    delays = ", ".join(f"{delay}ms" for delay in range(1, 40))
    axes = f"[{delays}], workload.duration: [1s, 3s]"
    text = TEXT.replace("size: 1MB", "duration: 1s").replace("[1ms, 2ms]", axes)
    (tmp_path / "try.yaml").write_text(text)
    experiment = load(tmp_path / "try.yaml")
    made = []
    monkeypatch.setattr(load_module, "scenario", lambda *args: made.append(args) or scenario(*args))
    runs = runner.plan(experiment)
    assert len(runs) == 39 * 2 * 2 * 2
    assert runner.least_seconds(experiment, runs) == len(runs) / 2 * (1 + 3)
    assert len(made) == 2
