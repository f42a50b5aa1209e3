"""`testbed run` as a process: interrupted, resumed, on a full disk, without permission."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.sandbox import Sandbox

pytestmark = pytest.mark.sandbox

ROOT = Path(__file__).parents[2]
TEXT = """
topology:
  nodes: {client: {}, server: {}}
  links:
    wifi: {between: [client, server], netem: rate 50mbit delay 2ms}
    lte: {between: [client, server], netem: rate 50mbit delay 3ms}
workload: {kind: bulk, from: client, to: server, size: 2MB}
wire: emulator
repetitions: 2
expect: [{metric: goodput, stack: mptcp, at_least: 1kbit}]
"""
TESTBED = (sys.executable, "-m", "testbed")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "try.yaml"
    path.write_text(TEXT)
    return path


def run(*arguments):
    return subprocess.run(
        [str(argument) for argument in arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_run_prints_the_table_and_writes_everything(file, tmp_path):
    done = run(*TESTBED, "run", file, "--results", tmp_path / "r")
    assert (done.returncode, done.stdout.count("pass: ")) == (0, 1)
    assert [line.split()[1] for line in done.stderr.splitlines()] == ["1/4", "2/4", "3/4", "4/4"]
    (folder,) = (tmp_path / "r/try").iterdir()
    assert f"Results: {folder}" in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == [
        "environment.json",
        "experiment.json",
        "runs",
        "summary.json",
    ]
    shown = run(*TESTBED, "show", folder)
    assert shown.stdout == done.stdout
    assert (shown.returncode, shown.stderr) == (0, "")


def test_an_expectation_that_is_not_met_is_3(file, tmp_path):
    file.write_text(TEXT.replace("1kbit", "10gbit"))
    done = run(*TESTBED, "run", file, "--results", tmp_path, "--json", "--stack", "mptcp")
    assert done.returncode == 3
    (document,) = json.loads(done.stdout)
    assert document["summary"]["checks"][0]["verdict"] == "regressed"


def test_ctrl_c_keeps_what_is_finished_and_resume_does_the_rest(file, tmp_path):
    before = set(Sandbox.running())
    process = subprocess.Popen(
        [*TESTBED, "run", str(file), "--results", str(tmp_path / "r")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr.readline().startswith("try: 1/4 ")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr.splitlines()[-1]) == (130, "testbed: interrupted")
    assert set(Sandbox.running()) <= before
    (folder,) = (tmp_path / "r/try").iterdir()
    finished = sorted(path.parent.name for path in folder.glob("runs/*/run.json"))
    assert finished
    assert f"testbed run --resume {folder}" in stdout
    times = {name: (folder / "runs" / name / "run.json").stat().st_mtime_ns for name in finished}

    done = run(*TESTBED, "run", "--resume", folder)
    assert done.returncode == 0
    assert "runs to do" not in done.stdout
    for name, time in times.items():
        assert (folder / "runs" / name / "run.json").stat().st_mtime_ns == time
    assert len(list(folder.glob("runs/*/run.json"))) == 4


def test_interrupted_before_any_run_is_over_nothing_is_left(file, tmp_path):
    file.write_text(TEXT.replace("size: 2MB", "duration: 50s"))
    process = subprocess.Popen(
        [*TESTBED, "run", str(file), "--results", str(tmp_path / "r")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: list(tmp_path.glob("r/try/*/runs/0001")), process)
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, "")
    assert list((tmp_path / "r").iterdir()) == []


def until(condition, process):
    """Wait until a file is there, by watching what the process does to its folder."""
    while not condition():
        assert process.poll() is None
        os.sched_yield()


UNSHARE = ("unshare", "--mount", "--propagation", "private")


@pytest.mark.root
def test_results_on_a_read_only_file_system_are_refused_before_anything_starts(file, tmp_path):
    (tmp_path / "r").mkdir()
    script = 'mount -t tmpfs -o ro none "$0" && exec "$@"'
    command = [*TESTBED, "run", file, "--results", tmp_path / "r"]
    done = run(*UNSHARE, "sh", "-c", script, tmp_path / "r", *command)
    assert done.returncode == 2
    assert done.stderr == (
        f"testbed: results cannot be written to {tmp_path}/r: Read-only file system; "
        "choose another --results\n"
    )
    assert done.stdout == ""


@pytest.mark.root
def test_a_full_disk_ends_the_experiment_and_leaves_finished_runs_readable(file, tmp_path):
    """The copy is made inside, where the small file system is mounted."""
    (tmp_path / "r").mkdir()
    script = (
        'mount -t tmpfs -o size=200k none "$0" && { "$@"; code=$?; cp -r "$0" "$0.copy"; '
        "exit $code; }"
    )
    command = [*TESTBED, "run", file, "--results", tmp_path / "r", "--repetitions", "20"]
    done = run(*UNSHARE, "sh", "-c", script, tmp_path / "r", *command)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "cannot be written: No space left on device; finished runs are kept" in last
    (folder,) = (tmp_path / "r.copy/try").iterdir()
    shown = json.loads(run(*TESTBED, "show", "--json", "--runs", folder).stdout)
    assert 1 <= len(shown["runs"]) < 40
    assert all(record["status"] == "ok" for record in shown["runs"])
    assert shown["summary"]["missing"] == 40 - len(shown["runs"])
