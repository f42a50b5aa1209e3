"""Hints for unknown words."""

from __future__ import annotations

import difflib
import shlex
import sys
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint: the known word most similar to ``word``, or else all known words."""
    candidates = [str(each) for each in known]
    likely = alike(word, candidates)
    if likely is not None:
        return f"did you mean {likely!r}?"
    if not candidates:
        return "nothing is known here"
    shown = ", ".join(candidates[:12])
    return f"known: {shown}" + (", ..." if len(candidates) > 12 else "")


def alike(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most similar to ``word``, or None if no word is similar."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)), None)


def extra(name: str) -> str:
    """Return the command that installs the libraries of an extra in this environment.

    The command names this interpreter. If testbed is not installed there, pip would install the
    package ``testbed`` of the index, which belongs to another project.
    """
    return f"{shlex.quote(sys.executable)} -m pip install 'testbed[{name}]'"
