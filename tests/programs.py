"""Commands that scripts and pages use, as those of this checkout."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests import plugin

_THEIRS = {"python": "", "pytest": "-m pytest", "testbed": "-m testbed"}


def environment(folder: Path) -> dict[str, str]:
    """Return variables with which ``python``, ``pytest`` and ``testbed`` are ours."""
    programs = folder / "programs"
    programs.mkdir(parents=True)
    for name, arguments in _THEIRS.items():
        program(programs / name, f'exec {sys.executable} {arguments} "$@"')
    return {**plugin.environment(folder), "PATH": f"{programs}:{os.environ['PATH']}"}


def program(path: Path, text: str) -> None:
    """Write a script of the shell."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
