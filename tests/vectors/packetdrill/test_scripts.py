"""The scripts here, over every version of IP that they are for."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.interchange import packetdrill

HERE = Path(__file__).parent
RUNS = [
    pytest.param(path, version, id=f"{path.relative_to(HERE)} {version}")
    for path in packetdrill.scripts([HERE])
    for version in packetdrill.versions_of(path)
]


@pytest.mark.parametrize(("path", "version"), RUNS)
def test_script_passes(path: Path, version: str) -> None:
    outcome = packetdrill.run(path, version)
    assert outcome.verdict is packetdrill.Verdict.PASS, outcome
