"""The cache folder, outside the repository, for kernels and other files to fetch or build once."""

from __future__ import annotations

import os
from pathlib import Path


def path(*names: str) -> Path:
    """Return ``$XDG_CACHE_HOME/testbed/NAME/...``, which may not exist."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser().joinpath("testbed", *names)


def folder(*names: str) -> Path:
    """Return ``$XDG_CACHE_HOME/testbed/NAME/...``, created if necessary."""
    made = path(*names)
    made.mkdir(parents=True, exist_ok=True)
    return made
