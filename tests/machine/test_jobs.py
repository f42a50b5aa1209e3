"""Runs side by side in virtual time: what is stored does not depend on how many at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.machines import usable

MACHINE = "uml:7.3+virtual-time"
TEXT = """\
topology:
  nodes: {client: {}, server: {}}
  links:
    wifi: {between: [client, server], netem: {rate: 20mbit, delay: 10ms, loss: 0.5%}}
    lte: {between: [client, server], netem: {rate: 30mbit, delay: 30ms}}
stacks: [mptcp, tcp]
workload: {kind: bulk, from: client, to: server, size: 1MB}
repetitions: 2
"""

pytestmark = pytest.mark.timeout(600)


def run(*arguments: str, results: Path) -> Path:
    argv = [sys.executable, "-m", "testbed", "run", *arguments]
    environment = {name: it for name, it in os.environ.items() if name != "TESTBED_ENTROPY"}
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, env=environment)
    (folder,) = results.glob("try/*")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder; when it was made is left out."""
    found = {str(it.relative_to(folder)): it.read_bytes() for it in folder.rglob("*.*")}
    experiment = json.loads(found["experiment.json"])
    del experiment["created_at"]
    return found | {"experiment.json": json.dumps(experiment).encode()}


def test_side_by_side_in_order_and_resumed_give_the_same_octets(tmp_path: Path) -> None:
    usable(MACHINE)
    (tmp_path / "try.yaml").write_text(TEXT)
    options = (str(tmp_path / "try.yaml"), "--machine", MACHINE)
    one = run(*options, "--results", str(tmp_path / "1"), results=tmp_path / "1")
    two = run(*options, "--results", str(tmp_path / "2"), "-j", "2", results=tmp_path / "2")
    in_order = contents(one)
    assert len([name for name in in_order if name.endswith("run.json")]) == 4
    assert "Linux version 7.3" in in_order["console.log"].decode()
    assert contents(two) == in_order
    for name in ("run.json", "series.jsonl"):
        (two / "runs/0003" / name).unlink()
    resumed = contents(run("--resume", str(two), results=tmp_path / "2"))
    runs = {name: it for name, it in in_order.items() if name.startswith("runs/")}
    assert {name: it for name, it in resumed.items() if name.startswith("runs/")} == runs
