"""A part of a Markdown page that a benchmark writes: between two comments, its marks."""

from __future__ import annotations

from pathlib import Path


def replace(page: Path, name: str, text: str) -> None:
    """Put a text between ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->`` of a page.

    :raises SystemExit: the page has no such region; it is not changed.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    head, found, rest = page.read_text().partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"{page} has no region between {begin} and {end}")
    page.write_text(f"{head}{begin}\n{text.strip(chr(10))}\n{end}{tail}")
