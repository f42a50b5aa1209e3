"""A laboratory for Multipath TCP: shaped multipath networks, measured runs, and a stack to read.

:mod:`testbed.api` documents the Python API. This package exports its names too.
"""

from __future__ import annotations

import importlib
from typing import Any

from testbed import compiled

__version__ = "0.1.0"
__all__ = ["HOST", "SIMULATION", "Experiment", "Results", "__version__", "load", "read", "run"]

compiled.install()


def __getattr__(name: str) -> Any:
    """Load the API on first use: most programs of this package do not need it."""
    if name in __all__:
        return getattr(importlib.import_module("testbed.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
