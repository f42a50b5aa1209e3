"""The tutorial in docs/report.md: each of its commands works, and prints what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
pytest.importorskip("pyarrow", reason="pyarrow is not installed")

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "report.md"


def test_a_figure_for_your_paper(tmp_path) -> None:
    text = PAGE.read_text().partition("## A figure for your paper")[2].partition("\n## ")[0]
    (experiment,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    (tmp_path / "handover.yaml").write_text(experiment)
    program = tmp_path / "bin" / "testbed"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m testbed "$@"\n')
    program.chmod(0o755)
    search = {"PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    count = 0
    for block in re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL):
        for command, shown in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", block, flags=re.MULTILINE):
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=tmp_path,
                env=os.environ | search,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, (command, done.stderr)
            assert shown in done.stdout, command
            count += 1
    assert count == 5
    (included,) = re.findall(r"includegraphics\{(.*?)\}", text)
    assert (tmp_path / included).exists()
