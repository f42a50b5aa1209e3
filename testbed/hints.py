"""Hints: the known word that somebody may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the hint that names the known word nearest to ``word``, or all of them."""
    candidates = list(known)
    close = difflib.get_close_matches(word, candidates, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    if not candidates:
        return "nothing is known here"
    shown = ", ".join(candidates[:12])
    return f"known: {shown}" + (", ..." if len(candidates) > 12 else "")
