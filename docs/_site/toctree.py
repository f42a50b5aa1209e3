"""Pages that no table of contents of index.md names are added to its last one."""

from __future__ import annotations

import re
from typing import Any

LAST = ":caption: More\n:maxdepth: 1\n"


def add_others(app: Any, name: str, source: list[str]) -> None:
    """Add them to the text of index.md."""
    if name != "index":
        return
    tables = re.findall(r"```\{toctree\}\n(.*?)```", source[0], flags=re.DOTALL)
    named = {
        line.strip().rpartition("<")[2].rstrip(">") for it in tables for line in it.splitlines()
    }
    others = sorted(app.env.found_docs - named - {"index"})
    source[0] = source[0].replace(LAST, f"{LAST}\n" + "\n".join(others) + "\n")


def setup(app: Any) -> dict[str, bool]:
    """Be an extension of Sphinx."""
    app.connect("source-read", add_others)
    return {"parallel_read_safe": True}
