"""The names of ``import testbed``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import testbed
from testbed.errors import InputError
from testbed.records import MptcpInfoRecord

EXPERIMENT = """\
topology:
  nodes: {client: {}, server: {}}
  links:
    wifi: {between: [client, server], netem: {rate: 20mbit, delay: 10ms}}
    lte: {between: [client, server], netem: {rate: 30mbit, delay: 30ms}}
stacks: [userspace, userspace-tcp]
workload: {kind: bulk, from: client, to: server, size: 1MB}
repetitions: 1
"""


@pytest.fixture
def results(tmp_path: Path) -> testbed.Results:
    file = tmp_path / "try.yaml"
    file.write_text(EXPERIMENT)
    changes = {"matrix": {"links.wifi.delay": ["5ms", "20ms"]}}
    experiment = testbed.load(file, machine=testbed.SIMULATION, repetitions=2, values=changes)
    return testbed.run(experiment, tmp_path)


def test_an_experiment_is_read_run_and_read_back(results: testbed.Results) -> None:
    again = testbed.read(results.folder)
    assert again.runs == results.runs
    assert again.experiment.name == "try"
    assert again.environment.machine == testbed.SIMULATION
    assert [cell.stack for cell in again.outcome().cells] == ["userspace", "userspace-tcp"] * 2


@pytest.mark.parametrize("how", ["file", "input"])
def test_a_script_needs_no_guard_for_runs_side_by_side(tmp_path: Path, how: str) -> None:
    (tmp_path / "try.yaml").write_text(EXPERIMENT)
    script = (
        "import testbed\n"
        'experiment = testbed.load("try.yaml", machine=testbed.SIMULATION)\n'
        'print(len(testbed.run(experiment, "results", jobs=2).runs))\n'
    )
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "script.py" if how == "file" else "-"],
        input=script,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("2\n", "")
    assert len(list(tmp_path.glob("results/try/*"))) == 1


@pytest.mark.parametrize("machine", ["uml:7.3", "simulation"])
def test_other_machines_are_refused(tmp_path: Path, machine: str) -> None:
    (tmp_path / "try.yaml").write_text(EXPERIMENT)
    with pytest.raises(InputError, match=f"{machine!r} cannot be used from Python"):
        testbed.load(tmp_path / "try.yaml", machine=machine)


def test_columns_have_a_value_for_each_run(results: testbed.Results) -> None:
    table = results.columns(["goodput", "rtt_p50"])
    assert {len(column) for column in table.values()} == {8}
    assert set(table["status"]) == {"ok"}
    assert set(table["links.wifi.delay"]) == {"5ms", "20ms"}
    by_stack = dict(zip(table["stack"], table["goodput"], strict=True))
    assert by_stack["userspace"] > by_stack["userspace-tcp"] > 1e6
    assert "longest_gap" in results.columns()
    with pytest.raises(InputError, match="no run here has the metric 'speed'"):
        results.columns(["speed"])


def test_series_are_records(results: testbed.Results) -> None:
    number = next(run.number for run in results.runs if run.stack == "userspace")
    seen = [record for record in results.series(number) if isinstance(record, MptcpInfoRecord)]
    assert max(record.mptcp.established for record in seen) == 2
    assert [record.t_ns for record in seen] == sorted(record.t_ns for record in seen)


def test_what_is_no_result_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no experiment\.json"):
        testbed.read(tmp_path)


def test_what_there_is_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'lead'"):
        _ = getattr(testbed, "lead")  # noqa: B009 - a checker of types would refuse the attribute
