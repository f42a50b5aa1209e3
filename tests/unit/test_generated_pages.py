"""Pages that scripts write are up to date, and what they name is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("script", ["course-traces", "mptcp-join-page"])
def test_the_pages_are_what_the_script_writes(script):
    """Run the script of that name to write them again."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / script, "--check"],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_stands_for_a_block_of_the_kernels_script_is_there():
    data = yaml.safe_load((ROOT / "tests" / "interop" / "mptcp_join.yaml").read_text())
    every = {ours for blocks in data["blocks"].values() for ours in blocks.values()}
    for ours in every:
        kind, _, rest = ours.partition(" ")
        if kind == "experiment":
            assert (ROOT / "experiments" / f"{rest}.yaml").exists(), ours
        elif kind != "none:":
            file, _, test = ours.partition("::")
            text = (ROOT / data["files"][file]).read_text()
            assert re.search(rf"^(async )?def {test}\(", text, re.MULTILINE), ours
