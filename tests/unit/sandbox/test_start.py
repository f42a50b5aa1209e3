"""The modules that a holder loads before its first request: each sandbox waits for them."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("library", ["yaml", "pyroute2", "networkx", "numpy"])
def test_a_holder_does_without(library: str) -> None:
    script = "import sys, testbed.sandbox.holder.__main__; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert library not in done.stdout.split()
