"""A fixed part of what ``python -m tests.fuzz`` tries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("what", [("packets", 20_000), ("networks", 60)], ids=lambda it: it[0])
def test_nothing_is_found(what: tuple[str, int]) -> None:
    kind, count = what
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", kind, "--count", str(count), "--seed", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 findings" in done.stdout
