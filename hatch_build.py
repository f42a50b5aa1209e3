"""Puts compiled modules into a wheel if TESTBED_COMPILE=1: see docs/performance.md.

Without it the wheel is the sources alone, for every Python, and needs no compiler.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PLACE = "testbed/_compiled"


class CompiledModules(BuildHookInterface):  # type: ignore[type-arg]
    """Runs scripts/compile for the Python that builds."""

    def _wanted(self, version: str = "standard") -> bool:
        return os.environ.get("TESTBED_COMPILE") == "1" and version == "standard"

    def dependencies(self) -> list[str]:
        """Return what the build needs: mypyc reads the types of whatever is imported."""
        if not self._wanted():
            return []
        typed = ["types-networkx>=3.3", "scipy-stubs>=1.15", "types-PyYAML>=6.0.12"]
        return ["mypy>=2.4", "setuptools>=65.5", *typed, *self.metadata.core.dependencies]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and have the wheel be one for this Python and platform."""
        if not self._wanted(version):
            return
        script = Path(self.root, "scripts", "compile")
        subprocess.run([sys.executable, str(script)], check=True)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["artifacts"].append(f"/{PLACE}/**/*")
