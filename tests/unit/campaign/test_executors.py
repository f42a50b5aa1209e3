"""Runs in order and side by side, who writes them, and what the command line says of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from testbed.campaign import runner
from testbed.campaign.watching import Quiet
from testbed.errors import InputError
from testbed.experiment.load import Experiment, load
from testbed.experiment.overrides import Overrides
from testbed.results.model import RunRecord, Status
from testbed.results.store import Store

EXPERIMENT = """\
topology:
  nodes: {client: {}, server: {}}
  links:
    wifi: {between: [client, server], netem: {rate: 20mbit, delay: 10ms}}
    lte: {between: [client, server], netem: {rate: 30mbit, delay: 30ms}}
stacks: [userspace, userspace-tcp]
workload: {kind: bulk, from: client, to: server, size: 400KB}
matrix: {links.wifi.delay: [5ms, 10ms]}
repetitions: 2
"""
# Fields with time, place and duration of a run, not its results.
CIRCUMSTANCES = ("started_at", "seconds", "load", "cpu")


class Noting(Quiet):
    def __init__(self) -> None:
        self.ended: list[int] = []

    def end(self, record: RunRecord) -> None:
        self.ended.append(record.number)


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    (tmp_path / "try.yaml").write_text(EXPERIMENT)
    return load(tmp_path / "try.yaml", Overrides(machine="sim"))


def carried_out(experiment: Experiment, root: Path, jobs: int) -> dict[str, Any]:
    store = runner.create(experiment, root)
    watcher = Noting()
    runs = runner.plan(experiment)
    runner.carry_out(experiment, store, runs, watcher, fail_fast=False, jobs=jobs)
    assert sorted(watcher.ended) == [run.number for run in runs]
    found: dict[str, Any] = {}
    for path in sorted(store.path.glob("runs/*/*")):
        content: Any = path.read_bytes()
        if path.name == "run.json":
            kept = {k: v for k, v in json.loads(content).items() if k not in CIRCUMSTANCES}
            content = json.dumps(kept)  # in which 4 is not 4.0
        found[str(path.relative_to(store.path))] = content
    return found


@pytest.mark.parametrize("workload", ["kind: bulk, size: 400KB", "kind: reqres, count: 5"])
def test_side_by_side_gives_the_very_same_files(tmp_path: Path, workload: str) -> None:
    text = EXPERIMENT.replace("{kind: bulk, ", "{").replace("size: 400KB", workload)
    (tmp_path / "try.yaml").write_text(text)
    experiment = load(tmp_path / "try.yaml", Overrides(machine="sim"))
    in_order = carried_out(experiment, tmp_path / "one", 1)
    assert len([name for name in in_order if name.endswith("run.json")]) == 8
    assert carried_out(experiment, tmp_path / "two", 2) == in_order


def test_runs_on_a_real_clock_are_not_done_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "try.yaml").write_text(EXPERIMENT)
    experiment = load(tmp_path / "try.yaml")
    store = runner.create(experiment, tmp_path)
    with pytest.raises(InputError, match="would disturb one another"):
        runner.carry_out(
            experiment, store, runner.plan(experiment), Quiet(), fail_fast=False, jobs=2
        )


def test_a_folder_has_one_writer(experiment: Experiment, tmp_path: Path) -> None:
    store = runner.create(experiment, tmp_path)
    with (
        store.writing(),
        pytest.raises(InputError, match="is being written by another testbed"),
        Store.open(store.path).writing(),
    ):
        pass


def test_a_second_resume_leaves_the_folder_alone(experiment: Experiment, tmp_path: Path) -> None:
    store = runner.create(experiment, tmp_path)
    with store.writing():
        done = run("--resume", str(store.path))
    assert done.returncode == 2
    assert "is being written by another testbed" in done.stderr
    assert store.path.exists()


def test_what_is_over_is_not_done_again(experiment: Experiment, tmp_path: Path) -> None:
    store = runner.create(experiment, tmp_path)
    runs = runner.plan(experiment)
    runner.carry_out(experiment, store, runs[:3], Quiet(), fail_fast=False)
    again = Store.open(store.path)
    assert {entry.status for entry in again.over().values()} == {Status.OK}
    assert [run.number for run in runner.missing(experiment, again, again=False)] == [4, 5, 6, 7, 8]


def test_a_run_that_was_begun_and_not_finished_is_to_do(
    experiment: Experiment, tmp_path: Path
) -> None:
    store = runner.create(experiment, tmp_path)
    runner.carry_out(experiment, store, runner.plan(experiment)[:2], Quiet(), fail_fast=False)
    store.begin_run(2)  # again: what is stored counts until that is over
    store.begin_run(3)
    missing = [run.number for run in runner.missing(experiment, store, again=False)]
    assert missing == [3, 4, 5, 6, 7, 8]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "testbed", "run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_dry_run_prints_the_runs_and_does_none(tmp_path: Path) -> None:
    file = tmp_path / "try.yaml"
    file.write_text(EXPERIMENT.replace("size: 400KB", "duration: 3s"))
    results = tmp_path / "results"
    done = run("--sim", "--dry-run", str(file), "--results", str(results))
    *runs, last = done.stdout.splitlines()
    assert len(runs) == 8
    assert last == "try: 8 runs, 24 s at least, of virtual time"
    assert not results.exists()
    beside = run("--sim", "-j", "2", "--dry-run", str(file))
    assert beside.stdout.splitlines()[-1] == (
        "try: 8 runs, 2 at a time, 24 s at least, of virtual time"
    )
    (as_json,) = json.loads(run("--sim", "-j", "2", "--dry-run", "--json", str(file)).stdout)
    assert (as_json["jobs"], as_json["virtual_time"], as_json["least_seconds"]) == (2, True, 24)


@pytest.mark.parametrize(("place", "name"), [((), "host"), (("--machine", "uml:7.3"), "uml:7.3")])
def test_jobs_go_where_time_is_virtual_only(
    tmp_path: Path, place: tuple[str, ...], name: str
) -> None:
    (tmp_path / "try.yaml").write_text(EXPERIMENT)
    done = run("-j", "2", *place, "--dry-run", str(tmp_path / "try.yaml"))
    assert done.returncode == 2
    assert done.stderr == (
        f"testbed: --jobs 2: 2 runs at a time would disturb one another on {name}; "
        "add --sim, or use a machine with --virtual-time\n"
    )


def test_a_machine_on_a_virtual_clock_takes_jobs(tmp_path: Path) -> None:
    (tmp_path / "try.yaml").write_text(EXPERIMENT)
    machine = ("--machine", "uml:7.3+virtual-time")
    done = run("-j", "3", *machine, "--dry-run", str(tmp_path / "try.yaml"))
    assert done.returncode == 0
    assert ", 3 at a time, " in done.stdout.splitlines()[-1]


def test_a_matrix_of_ten_thousand_cells_is_planned_without_its_scenarios(tmp_path: Path) -> None:
    (tmp_path / "try.yaml").write_text(
        EXPERIMENT.replace(
            "matrix: {links.wifi.delay: [5ms, 10ms]}",
            f"matrix: {{workload.size: {list(range(1, 101))}, "
            f"links.wifi.rate: {list(range(10**6, 10**6 + 50))}}}",
        )
    )
    experiment = load(tmp_path / "try.yaml", Overrides(machine="sim"))
    assert len(runner.plan(experiment)) == 20_000
