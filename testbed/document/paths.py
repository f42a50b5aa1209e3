"""Paths: the names of places in a document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from testbed.errors import InputError

Keys = tuple[str | int, ...]

_PATH: Final = re.compile(
    r'\.?(?:"(?P<quoted>(?:[^"]|"")*)"|\[(?P<index>\d+)\]|(?P<plain>[^.\[\]"]+))'
)


class Positions:
    """The lines of the paths of a document.

    :param lines: the line of each path of the file.
    :param within: the path of the document in the file, if it is only a part of that file.
    """

    def __init__(self, lines: Mapping[str, int], within: str = "") -> None:
        self._lines = lines
        self._within = within

    def below(self, path: str) -> Positions:
        """Return the positions of the part of this document at a path."""
        return Positions(self._lines, self.whole(path))

    def whole(self, path: str) -> str:
        """Convert a path of the document to a path of the file."""
        return join_path(*split_path(self._within), *split_path(path))

    def line(self, path: str) -> int | None:
        """Return the line, from 1, of ``path`` or of the nearest value that encloses it."""
        keys = split_path(self.whole(path))
        for end in range(len(keys), -1, -1):
            line = self._lines.get(join_path(*keys[:end]))
            if line is not None:
                return line
        return None


def join_path(*keys: str | int) -> str:
    """Write keys as a path; the inverse of :func:`split_path`."""
    parts: list[str] = []
    for key in keys:
        if isinstance(key, int):
            parts.append(f"[{key}]")
            continue
        plain = key and not any(c in '.[]"' for c in key)
        written = key if plain else '"' + key.replace('"', '""') + '"'
        parts.append(f".{written}" if parts else written)
    return "".join(parts)


def split_path(path: str) -> Keys:
    """Read a path into its keys; a list index becomes an ``int``."""
    keys: list[str | int] = []
    at = 0
    while at < len(path):
        match = _PATH.match(path, at)
        if match is None:
            raise InputError(f"{path!r} is not a path", hint='write a.b, a[0] or a."key.with.dots"')
        if match["index"] is not None:
            keys.append(int(match["index"]))
        else:
            keys.append(match["plain"] or match["quoted"].replace('""', '"'))
        at = match.end()
    return tuple(keys)
