"""QEMU, started for real: what a program in there sees, and what becomes of machines that fail."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.errors import MachineError
from testbed.machine import Program

pytestmark = pytest.mark.timeout(400)  # emulation on a busy machine; nothing waits that long

ROOT = Path(__file__).parents[2]
TESTBED = (sys.executable, "-m", "testbed")
EXPERIMENT = """
topology:
  nodes: {client: {}, server: {}}
  links:
    wifi: {between: [client, server], netem: rate 2mbit delay 2ms}
    lte: {between: [client, server], netem: rate 2mbit delay 3ms}
stacks: [mptcp]
workload: {kind: bulk, from: client, to: server, size: 400KB}
wire: netem
probes: [mptcp_info]
repetitions: 1
"""


def shell(script, **more):
    environment = {"PATH": os.environ["PATH"], "GREETING": "it's me"}
    return Program(argv=("sh", "-c", script), directory=ROOT, environment=environment, **more)


def test_a_program_finds_the_host_s_files_on_another_kernel(qemu, tmp_path, capfd):
    kept, lost, console = tmp_path / "kept", tmp_path / "lost", tmp_path / "console"
    kept.mkdir()
    script = f"""
        uname -r; pwd; echo "$GREETING, $TESTBED_MACHINE"; cat /sys/class/net/lo/operstate
        head -n 1 pyproject.toml
        echo kept > {kept}/file; echo lost > {lost}
        echo wrong >&2
        exit 7
    """
    status = qemu.execute(shell(script, writable=(kept,)), console=console)
    said = capfd.readouterr()
    release, *lines = said.out.splitlines()
    assert status == 7
    assert release.startswith("6.1.")
    assert lines == [
        str(ROOT),
        "it's me, qemu:6.1",
        "unknown",
        (ROOT / "pyproject.toml").read_text().splitlines()[0],
    ]
    assert said.err == "wrong\n"
    assert (kept / "file").read_text() == "kept\n"
    assert not lost.exists()


def test_an_experiment_in_a_machine_leaves_the_same_folder(qemu, tmp_path):
    file = tmp_path / "short.yaml"
    file.write_text(EXPERIMENT)
    results = tmp_path / "results"
    done = subprocess.run(
        [*TESTBED, "run", "--machine", qemu.name, file, "--results", results, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    (report,) = json.loads(done.stdout)
    folder = Path(report["folder"])
    environment = json.loads((folder / "environment.json").read_text())
    (run,) = [json.loads(it.read_text()) for it in folder.glob("runs/*/run.json")]
    assert folder.parent.parent == results
    assert report["machine"] == environment["machine"] == qemu.name
    assert environment["kernel"]["release"].startswith("6.1.")
    assert {wire["engine"] for wire in run["wires"]} == {"netem"}
    # On a busy machine the run may not count; what it spoke is proved anyway.
    assert run["status"] == "ok" or "the emulated processor" in run["reason"]
    assert done.returncode == (0 if run["status"] == "ok" else 1)
    assert run["flows"]["workload"]["proof"]["subflows"] == 2
    assert (folder / "console.log").exists()


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo c > /proc/sysrq-trigger; sleep 60", "Kernel panic"),
        ("dd if=/dev/zero of=/full bs=1M 2>&1; exit 1", "no memory left"),
        ("kill -KILL $$", "killed its program"),
    ],
    ids=["panic", "full", "killed"],
)
def test_a_machine_that_breaks_down_says_why(qemu, tmp_path, script, why):
    with pytest.raises(MachineError, match=why):
        qemu.execute(shell(script), console=tmp_path / "console")


def test_a_machine_is_ended_at_its_limit(qemu, tmp_path):
    with pytest.raises(MachineError, match=r"limit of 0\.5 s"):
        qemu.execute(shell("sleep 600"), console=tmp_path / "console", limit_s=0.5)


@pytest.fixture
def started(qemu):
    """Return `testbed machine exec` with a program in there that has said it is there."""
    script = 'trap "echo interrupted; exit 3" INT; echo there; while :; do sleep 0.1; done'
    process = subprocess.Popen(
        [*TESTBED, "machine", "exec", qemu.name, "--", "sh", "-c", script],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "there\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def children(process):
    """Return all that it started, and what those did."""
    found = []
    for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split():
        found += [int(pid), *children(int(pid))]
    return found


def test_ctrl_c_reaches_the_program(started):
    started.send_signal(signal.SIGINT)
    assert started.stdout.readline() == "interrupted\n"
    assert started.wait() == 3


def test_kill_9_leaves_nothing_behind(started):
    watched = [os.pidfd_open(pid) for pid in children(started.pid)]
    assert len(watched) >= 2  # QEMU and virtiofsd
    started.kill()
    for pidfd in watched:
        assert select.select([pidfd], [], [], 60)[0]  # readable: it has ended
        os.close(pidfd)
