"""The Vagrantfile, as far as one can try it without a hypervisor."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_vagrant_takes_it(tmp_path):
    vagrant = shutil.which("vagrant")
    if vagrant is None:
        pytest.skip("vagrant is not installed")
    environment = {**os.environ, "VAGRANT_HOME": str(tmp_path), "VAGRANT_CWD": str(ROOT)}
    environment["VAGRANT_DOTFILE_PATH"] = str(tmp_path / "dotfile")
    # -p: ignore which hypervisors are installed.
    done = subprocess.run(
        [vagrant, "validate", "-p"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
