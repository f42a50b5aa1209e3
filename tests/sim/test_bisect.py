"""`testbed bisect` over commits of this project, in a simulated network."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from testbed.cli.application import application
from tests.unit.campaign.bisect.repository import git

ROOT = Path(__file__).parents[2]
CONTROL = Path("testbed/stack/tcp/congestion/control.py")
EXPERIMENT = """\
topology:
  nodes: {client: {}, server: {}}
  links:
    wifi: {between: [client, server], netem: {rate: 20mbit, delay: 10ms}}
    lte: {between: [client, server], netem: {rate: 30mbit, delay: 30ms}}
workload: {kind: bulk, from: client, to: server, size: 1MB}
stacks: [userspace]
repetitions: 1
"""


def commit(tree: Path, subject: str, old: str = "", new: str = "") -> str:
    text = (tree / CONTROL).read_text()
    assert old in text
    (tree / CONTROL).write_text(text.replace(old, new) if old else f"{text}# {subject}\n")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "-m", subject)
    return git(tree, "rev-parse", "HEAD")


def test_a_smaller_initial_window_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The change is one of letters of which there are as many: no compiled module may stay."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TESTBED_COMPILED", "no")  # these commits have no compiled modules
    tree = tmp_path / "checkout"
    shutil.copytree(
        ROOT / "testbed", tree / "testbed", ignore=shutil.ignore_patterns("__pycache__")
    )
    git(tmp_path, "init", "--quiet", str(tree))
    good = commit(tree, "Begin")
    commit(tree, "Change nothing")
    slow = commit(
        tree, "Begin slowly", "INITIAL_SEGMENTS: Final = 10 ", "INITIAL_SEGMENTS: Final = 3  "
    )
    commit(tree, "Change nothing either")
    (tmp_path / "try.yaml").write_text(EXPERIMENT)
    options = ["--tree", str(tree), "--good", good, "--results", str(tmp_path / "out")]
    file = str(tmp_path / "try.yaml")
    done = CliRunner().invoke(application, ["bisect", *options, "--", file, "--sim"])
    assert done.exit_code == 0, done.output
    assert f"the first commit that is worse: {slow[:9]} Begin slowly" in done.stdout
