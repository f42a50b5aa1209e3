"""Sandboxes in tests of the pytest plugin's users: they always end with the test."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from pathlib import Path

import pytest

from tests import plugin
from tests.processes import marked, until_gone

pytestmark = pytest.mark.sandbox

TESTS = """\
import pytest

from testbed.errors import InputError, WorkloadError


def test_programs(sandbox, topology):
    lab = sandbox(topology("two_paths.yaml"))
    there = lab.topology.node("server").interfaces[0].addresses[0].partition("/")[0]
    assert there in lab.exec("server", ["ip", "address"]).stdout
    assert lab.exec("client", ["sh", "-c", "echo no >&2; exit 3"], check=False).returncode == 3
    with pytest.raises(WorkloadError, match="on client ended with 3: no"):
        lab.exec("client", ["sh", "-c", "echo no >&2; exit 3"])
    with pytest.raises(WorkloadError, match="ran for more than 0.05 s"):
        lab.exec("client", ["sleep", "1000"], timeout=0.05)
    with pytest.raises(InputError):
        lab.exec("nobody", ["true"])
    waiting = lab.spawn("server", ["sh", "-c", "echo ready; exec sleep 1000"])
    waiting.kill()
    assert waiting.wait() == -15
    assert set(lab.observe().namespaces) >= {"client", "server"}


def test_two_at_a_time(sandbox):
    one, other = sandbox("two_paths.yaml"), sandbox("two_paths.yaml", engine="emulator")
    assert one.name != other.name


def test_that_fails(sandbox):
    sandbox("two_paths.yaml").spawn("client", ["sleep", "1000"])
    raise RuntimeError


def test_a_plan_that_fails(sandbox):
    sandbox("impossible.yaml")


@pytest.mark.testbed_needs("sandbox", "veth", "kernel>=4.0")
def test_needs_that_are_met():
    pass
"""
INTERRUPTED = """\
from pathlib import Path


def test(sandbox):
    lab = sandbox("two_paths.yaml")
    lab.spawn("client", ["sleep", "1000"])
    ready = Path("ready").resolve()
    lab.exec("client", ["sh", "-c", f"echo running > {ready}; exec sleep 1000"], timeout=1000)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "two_paths.yaml").write_text(plugin.TWO_PATHS)
    impossible = plugin.TWO_PATHS + "sysctls: {net.ipv4.no_such_thing: 1}\n"
    (folder / "impossible.yaml").write_text(impossible)
    monkeypatch.setenv("TESTBED_MARK", f"plugin-{secrets.token_hex(6)}")
    return folder


def left() -> dict[int, str]:
    return {
        pid: line for pid, line in marked(os.environ["TESTBED_MARK"]).items() if pid != os.getpid()
    }


def test_sandboxes_end_with_their_test(project: Path) -> None:
    (project / "test_it.py").write_text(TESTS)
    done = plugin.run(project, "test_it.py")
    assert "2 failed, 3 passed" in done.stdout, done.stdout
    assert "no_such_thing" in done.stdout
    assert left() == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_an_interrupted_pytest(project: Path, number: signal.Signals) -> None:
    (project / "test_it.py").write_text(INTERRUPTED)
    os.mkfifo(project / "ready")
    process = subprocess.Popen(
        plugin.command("-s", "test_it.py"),
        cwd=project,
        env=plugin.environment(project.parent),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert (project / "ready").read_text() == "running\n"  # the program has begun
        process.send_signal(number)
        process.stdout.read()  # read to the end: no process has the pipe open any more
    assert process.returncode == (2 if number == signal.SIGINT else -number)
    if number == signal.SIGKILL:
        until_gone(left())  # the kernel cleans up, when it has the time
    assert left() == {}
