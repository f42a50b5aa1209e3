"""The folder for kernels and what else is fetched or built once: never in the repository."""

from __future__ import annotations

import os
from pathlib import Path


def path(*names: str) -> Path:
    """Return ``$XDG_CACHE_HOME/testbed/NAME/...``, whether or not it is there."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser().joinpath("testbed", *names)


def folder(*names: str) -> Path:
    """Return ``$XDG_CACHE_HOME/testbed/NAME/...``, made if it is not there."""
    made = path(*names)
    made.mkdir(parents=True, exist_ok=True)
    return made
