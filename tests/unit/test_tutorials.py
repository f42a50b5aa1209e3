"""The tutorials: each command works, and prints what the page shows, but for the numbers."""

from __future__ import annotations

import glob
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from testbed.cli.application import application

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("tutorial-*.md"))
BLOCK = re.compile(r"(?:to `([\w.-]+)`:\n\n)?```(yaml|console)\n(.*?)```", re.DOTALL)
STEP = re.compile(r"^\$ (.*)\n((?:[^$].*\n)*)", re.MULTILINE)


def without_numbers(text: str) -> list[str]:
    """Return the lines, without numbers and the width of columns, which depend on them."""
    return [" ".join(re.sub(r"\d+(\.\d+)?", "0", line).split()) for line in text.splitlines()]


def printed(command: str, tmp_path: Path) -> str:
    """Run a command line as a reader's shell does; return what it prints.

    A command of testbed alone is run in this process: most of its time is that of a start.
    """
    if command.startswith("testbed ") and not set(command) & set("|>&;$"):
        words = [
            each
            for word in shlex.split(command)[1:]
            for each in (sorted(glob.glob(word)) if "*" in word else [word])  # noqa: PTH207
        ]
        result = CliRunner().invoke(application, words)
        assert result.exit_code == 0, (command, result.output)
        return result.stdout
    program = tmp_path / "bin" / "testbed"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m testbed "$@"\n')
    program.chmod(0o755)
    search = {"PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", command],
        env=os.environ | search,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_step_works(page, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    steps = 0
    for name, language, block in BLOCK.findall(page.read_text()):
        if language == "yaml":
            assert name, f"{page.name}: the text before a file says its name"
            (here / name).write_text(block)
            continue
        for command, shown in STEP.findall(block):
            lines = without_numbers(printed(command, tmp_path))
            missing = [line for line in without_numbers(shown) if line not in lines]
            assert missing == [], (command, lines)
            steps += 1
    assert steps > 2
