"""Schedulers and path managers of other packages."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from testbed import plugins
from testbed.errors import InputError
from testbed.stack.mptcp.scheduler import SCHEDULERS
from testbed.stack.registry import Registry


def test_entry_points_are_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry[object]("scheduler", {})
    found = EntryPoint("mine", "testbed.stack.mptcp.scheduler.minrtt:MinRtt", "testbed.schedulers")
    monkeypatch.setattr(plugins, "GROUPS", {"testbed.schedulers": registry})
    monkeypatch.setattr(plugins, "entry_points", lambda *, group: [found] if group else [])
    plugins.load.cache_clear()
    plugins.load()
    plugins.load()
    assert registry.names() == ["mine"]
    assert registry["mine"] is SCHEDULERS["minrtt"]
    plugins.load.cache_clear()


def test_a_name_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry[object]("scheduler", {"mine": object()})
    found = EntryPoint("mine", "testbed.stack.mptcp.scheduler.minrtt:MinRtt", "testbed.schedulers")
    monkeypatch.setattr(plugins, "GROUPS", {"testbed.schedulers": registry})
    monkeypatch.setattr(plugins, "entry_points", lambda *, group: [found] if group else [])
    plugins.load.cache_clear()
    with pytest.raises(InputError, match="mine"):
        plugins.load()
    plugins.load.cache_clear()


EXPERIMENT = """\
topology:
  nodes: {client: {}, server: {}}
  links: {wifi: {between: [client, server], netem: {rate: 20mbit, delay: 10ms}}}
stacks: [userspace(scheduler=mine), userspace-tcp(congestion=mine)]
workload: {kind: bulk, from: client, to: server, size: 100KB}
repetitions: 1
"""
ENTRY_POINTS = """\
[testbed.schedulers]
mine = testbed.stack.mptcp.scheduler.minrtt:MinRtt
[testbed.congestion_controls]
mine = testbed.stack.tcp.congestion.reno:Reno
"""


def run_beside(
    folder: Path, entry_points: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run testbed where a package is installed that has some entry points."""
    (folder / "mine-1.dist-info").mkdir()
    (folder / "mine-1.dist-info/METADATA").write_text("Name: mine\nVersion: 1\n")
    (folder / "mine-1.dist-info/entry_points.txt").write_text(entry_points)
    (folder / "try.yaml").write_text(EXPERIMENT)
    return subprocess.run(
        [sys.executable, "-m", "testbed", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_experiment_uses_what_another_package_adds(tmp_path: Path) -> None:
    done = run_beside(tmp_path, ENTRY_POINTS, "run", "--sim", "--jobs", "2", "try.yaml")
    assert (done.returncode, done.stderr.count(": ok")) == (0, 2), done.stderr


def test_a_command_lists_what_another_package_adds(tmp_path: Path) -> None:
    done = run_beside(tmp_path, ENTRY_POINTS, "stacks")
    assert "scheduler: ecf, mine, minrtt" in done.stdout


@pytest.mark.parametrize(
    ("group", "command"),
    [("schedulers", ["check", "try.yaml"]), ("metrics", ["metrics"])],
)
def test_an_entry_point_that_leads_nowhere_is_named(
    tmp_path: Path, group: str, command: list[str]
) -> None:
    done = run_beside(tmp_path, f"[testbed.{group}]\nmine = nowhere:Mine\n", *command)
    assert done.returncode == 2
    said = done.stdout + done.stderr
    assert f"entry point 'mine' of testbed.{group}: No module named 'nowhere'" in said
