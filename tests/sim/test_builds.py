"""The compiled modules put the very packets on the wire that the sources do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed import compiled

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "sim" / "packets.yaml"  # loss, reordering, duplicates, corruption
THERE = (compiled.PLACE / compiled.MANIFEST).exists()


def captures(build: str, results: Path) -> dict[str, bytes]:
    """Return what interfaces saw of simulated runs: each packet's octets, and its time."""
    command = ["run", "--sim", str(CORPUS), "--results", str(results), "--set", "pcap=true"]
    done = subprocess.run(
        [sys.executable, "-m", "testbed", *command],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TESTBED_COMPILED": build},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder,) = results.glob("*/*")
    return {
        f"{path.parent.name}/{path.name}": path.read_bytes()
        for path in sorted(folder.glob("runs/*/*.pcapng"))
    }


@pytest.mark.skipif(not THERE, reason="nothing is compiled: make compile")
def test_both_builds_give_the_same_packets_octet_by_octet(tmp_path: Path) -> None:
    interpreted = captures("no", tmp_path / "interpreted")
    assert len(interpreted) == 12 * 4  # runs, interfaces
    ours = captures("require", tmp_path / "compiled")
    assert [name for name in interpreted if ours.get(name) != interpreted[name]] == []
    assert ours.keys() == interpreted.keys()
