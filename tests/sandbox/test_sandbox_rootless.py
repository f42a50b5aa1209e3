"""With user namespaces, an ordinary user can do the same as root."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.sandbox, pytest.mark.root]

HERE = Path(__file__).parent


@pytest.mark.timeout(120)
def test_operations_work_without_root() -> None:
    done = subprocess.run(
        [
            *(sys.executable, str(HERE / "rootless.py")),
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *(
                "--rootdir",
                str(HERE.parent.parent),
                "-c",
                str(HERE.parent.parent / "pyproject.toml"),
            ),
            str(HERE / "test_sandbox_operations.py"),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(HERE.parent.parent), "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout
