"""A middlebox in a topology: its options, and the counters of its work."""

from __future__ import annotations

from typing import Any

import msgspec


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """A middlebox on a link: its kind and its options.

    :mod:`testbed.middlebox.kinds` defines the kinds and their options.
    """

    kind: str
    options: dict[str, Any] = {}

    def __str__(self) -> str:
        """Return the box in the form of a topology file: ``split(size=500)``."""
        if not self.options:
            return self.kind
        options = ", ".join(f"{name}={_words(value)}" for name, value in self.options.items())
        return f"{self.kind}({options})"


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """The work of a box: how many segments came, how many left, and how many of these are changed.

    A segment that a box creates or merges counts as changed. If a box splits a segment, all pieces
    count as changed.
    """

    kind: str
    came: int = 0
    left: int = 0
    changed: int = 0


def _words(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_words, value))}]"
    return str(value)
