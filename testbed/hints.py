"""Hints for words that are unknown."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint: the known word that is most like ``word``, or else all known words."""
    candidates = list(known)
    close = difflib.get_close_matches(word, candidates, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    if not candidates:
        return "nothing is known here"
    shown = ", ".join(candidates[:12])
    return f"known: {shown}" + (", ..." if len(candidates) > 12 else "")
