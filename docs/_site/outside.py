"""Links to files of the checkout that are no pages: they become the files' names.

On a forge they lead to the file.  The site knows no address of the checkout.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1]
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def without_outside(app: Any, name: str, source: list[str]) -> None:
    """Take such links out of a page's text."""
    folder = Path(app.env.doc2path(name)).parent

    def replaced(match: re.Match[str]) -> str:
        text, target = match[1], match[2]
        path = (folder / target).resolve()
        if "://" in target or not path.exists() or is_page(path):
            return match[0]
        named = path.relative_to(DOCS.parent).as_posix()
        return text if named.rpartition("/")[2] in text else f"{text} (`{named}`)"

    source[0] = LINK.sub(replaced, source[0])


def is_page(path: Path) -> bool:
    """Tell whether a file is a page of the site."""
    inside = path.is_relative_to(DOCS) and not path.is_relative_to(DOCS / "examples")
    return inside and path.suffix == ".md"


def setup(app: Any) -> dict[str, bool]:
    """Be an extension of Sphinx."""
    app.connect("source-read", without_outside, priority=400)
    return {"parallel_read_safe": True}
