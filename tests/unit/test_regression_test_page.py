"""The commands of docs/regression-test.md, run in a copy of the example project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import programs
from tests.conftest import why_no_sandbox
from tests.machines import usable

DOCS = Path(__file__).parents[2] / "docs"
PROJECT = DOCS / "examples" / "regression-project"
KERNEL = "7.3"  # stands for the reader's own tree
PAGES = (DOCS / "regression-test.md", PROJECT / "README.md")
COMMANDS = dict.fromkeys(
    command
    for page in PAGES
    for block in re.findall(r"```console\n(.*?)```", page.read_text(), flags=re.DOTALL)
    for command in re.findall(r"^\$ (.*)$", block, flags=re.MULTILINE)
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reader") / "project"
    shutil.copytree(PROJECT, folder)
    return folder


@pytest.mark.timeout(600)
@pytest.mark.parametrize("command", COMMANDS)
def test_commands_work(project: Path, command: str) -> None:
    if "uml" in command:
        usable(f"uml:{KERNEL}")
    elif "sim" not in command and "show" not in command and (reason := why_no_sandbox()):
        pytest.skip(reason)
    if command.startswith("testbed bisect"):
        pytest.skip("it builds several kernels: a test of bisect has small ones")
    text = command.replace("~/linux", f"debian:{KERNEL}").replace("$HOME/linux", KERNEL)
    done = subprocess.run(
        ["sh", "-c", text],
        cwd=project,
        env=programs.environment(project.parent / f"path-{os.urandom(4).hex()}"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if "pytest" in command:
        assert re.search(r"[1-9]\d* passed", done.stdout), done.stdout


def test_the_page_shows_a_test_of_the_example() -> None:
    [shown] = re.findall(r"```python\n(.*?)```", PAGES[0].read_text(), flags=re.DOTALL)
    *imports, test = shown.split("\n\n\n")
    written = (PROJECT / "tests" / "test_my_change.py").read_text()
    assert test.strip() in written
    assert len(imports) == 1
