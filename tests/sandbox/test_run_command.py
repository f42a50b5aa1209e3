"""`testbed run` as a process: interrupted, resumed, on a full disk, without permission."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import marked

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
subflows: 1
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
        "manifest.jsonl",
        "runs",
        "summary.json",
    ]
    shown = run(*TESTBED, "show", folder)
    assert shown.stdout == done.stdout
    assert (shown.returncode, shown.stderr) == (0, "")


def test_an_expectation_that_is_not_met_is_3(file, tmp_path):
    # CPU time is judged even on a busy machine, unlike other metrics.
    claim = "{metric: goodput, stack: mptcp, at_least: 1kbit}"
    file.write_text(TEXT.replace(claim, "{metric: cpu_target, stack: mptcp, at_most: 0}"))
    done = run(*TESTBED, "run", file, "--results", tmp_path, "--json", "--stack", "mptcp")
    assert done.returncode == 3
    (document,) = json.loads(done.stdout)
    assert document["summary"]["checks"][0]["verdict"] == "regressed"


@pytest.fixture
def started(file, tmp_path):
    """Return what starts the experiment; it has ended when the test has, and so has its sandbox."""
    command = [*TESTBED, "run", str(file), "--results", str(tmp_path / "r")]
    environment = {**os.environ, "TESTBED_MARK": str(tmp_path)}
    with contextlib.ExitStack() as stack:

        def start():
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


SERVER = "import socket; socket.create_server(('', 5001)).accept()[0].recv(9)"
CLIENT = "import socket, sys; socket.create_connection((sys.argv[1], 5001)).send(b'x')"


def waiting(command, **more):
    """Return an experiment of four runs; in each a client waits for a command, and connects."""
    shell = f'{command}; exec python3 -c "$0" $1'
    programs = [
        {"node": "server", "argv": ["python3", "-c", SERVER], "ready": 5001},
        {"node": "client", "argv": ["sh", "-c", shell, CLIENT, "{address}"], "ends": True},
    ]
    experiment = {
        "topology": {
            "nodes": {"client": {}, "server": {}},
            "links": {"wifi": {"between": ["client", "server"]}},
        },
        "workload": {"kind": "command", "from": "client", "to": "server", "programs": programs},
        "stacks": ["tcp"],
        "repetitions": 4,
    }
    return json.dumps(experiment | more)  # YAML takes JSON


def test_ctrl_c_keeps_what_is_finished_and_resume_does_the_rest(file, started, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    file.write_text(waiting(f"mkdir {tmp_path}/first || cat {gate}"))  # the first run goes through
    process = started()
    assert process.stderr.readline().startswith("try: 1/4 ")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate()
    assert (process.returncode, stderr.splitlines()[-1]) == (130, "testbed: interrupted")
    assert not marked(str(tmp_path))
    (folder,) = (tmp_path / "r/try").iterdir()
    finished = folder / "runs/0001/run.json"
    assert list(folder.glob("runs/*/run.json")) == [finished]
    assert f"testbed run --resume {folder}" in stdout
    written = finished.stat().st_mtime_ns

    gate.unlink()
    gate.touch()
    done = run(*TESTBED, "run", "--resume", folder)
    assert done.returncode == 0
    assert "missing runs" not in done.stdout
    assert finished.stat().st_mtime_ns == written
    assert len(list(folder.glob("runs/*/run.json"))) == 4


def test_interrupted_before_any_run_is_over_nothing_is_left(file, started, tmp_path):
    file.write_text(TEXT.replace("size: 2MB", "duration: 3600s") + "timeout: 7200s\n")
    process = started()
    while not list(tmp_path.glob("r/try/*/runs/.0001")):
        assert process.poll() is None
        os.sched_yield()
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate()
    assert (process.returncode, stdout) == (130, "")
    assert list((tmp_path / "r").iterdir()) == []


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
    """An event of the second run fills it.  The copy is made inside, where it is mounted."""
    (tmp_path / "r").mkdir()
    over = tmp_path / "over"
    os.mkfifo(over)
    fill = f"exec 9> {over}; mkdir {tmp_path}/first || cat /dev/zero > {tmp_path}/r/filler || true"
    event = {"at": 0, "node": "client", "run": ["sh", "-c", fill]}
    file.write_text(waiting(f"cat {over}", events=[event]))
    script = (
        'mount -t tmpfs -o size=10m none "$0" && { "$@"; code=$?; rm "$0/filler"; '
        'cp -r "$0" "$0.copy"; exit $code; }'
    )
    command = [*TESTBED, "run", file, "--results", tmp_path / "r"]
    done = run(*UNSHARE, "sh", "-c", script, tmp_path / "r", *command)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "cannot be written: No space left on device; finished runs are kept" in last
    (folder,) = (tmp_path / "r.copy/try").iterdir()
    shown = json.loads(run(*TESTBED, "show", "--json", "--runs", folder).stdout)
    assert [record["status"] for record in shown["runs"]] == ["ok"]
    assert shown["summary"]["missing"] == 3
