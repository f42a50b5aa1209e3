"""The folder for kernels and what else is fetched or built once: never in the repository."""

from __future__ import annotations

import os
from pathlib import Path


def folder(*names: str) -> Path:
    """Return ``$XDG_CACHE_HOME/testbed/NAME/...``, made if it is not there."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    path = Path(home).expanduser().joinpath("testbed", *names)
    path.mkdir(parents=True, exist_ok=True)
    return path
