"""A middlebox as a topology has it: what was written, and what it has done."""

from __future__ import annotations

from typing import Any

import msgspec


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """A middlebox on a link: its kind, and what was written of it.

    What kinds there are, and which options each has, :mod:`testbed.middlebox.kinds` knows.
    """

    kind: str
    options: dict[str, Any] = {}

    def __str__(self) -> str:
        """Return it as a topology may have it: ``split(size=500)``."""
        if not self.options:
            return self.kind
        options = ", ".join(f"{name}={_words(value)}" for name, value in self.options.items())
        return f"{self.kind}({options})"


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What a box has done: segments that came to it, that left it, and that are not as they came.

    A segment that a box makes or puts together is not as it came; of one that it cuts, all pieces.
    """

    kind: str
    came: int = 0
    left: int = 0
    changed: int = 0


def _words(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_words, value))}]"
    return str(value)
