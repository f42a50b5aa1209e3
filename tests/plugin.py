"""Projects whose tests use the pytest plugin; pytest runs them in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
TWO_PATHS = """\
nodes: {client: {}, server: {}}
links:
  wifi: {between: [client, server], netem: {rate: 20mbit, delay: 10ms}}
  lte: {between: [client, server], netem: {rate: 30mbit, delay: 30ms}}
"""
# The strictest settings of a project, without other installed plugins.
STRICT = ("-W", "error", "--strict-markers", "--strict-config", "-p", "no:cacheprovider")


def environment(folder: Path) -> dict[str, str]:
    """Return variables for a pytest that loads testbed's plugin as if it were installed there."""
    installed = folder / "installed"
    about = installed / "testbed_of_this_checkout-0.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: testbed-of-this-checkout\n")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]["pytest11"].items()
    lines = "".join(f"{name} = {module}\n" for name, module in points)
    (about / "entry_points.txt").write_text(f"[pytest11]\n{lines}")
    return {**os.environ, "PYTHONPATH": f"{ROOT}:{installed}"}


def command(*arguments: str | Path) -> list[str]:
    """Return the command that runs pytest with some arguments."""
    return [sys.executable, "-m", "pytest", *STRICT, *map(str, arguments)]


def run(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the tests of a folder."""
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment(folder.parent / f"{folder.name}-plugin"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
