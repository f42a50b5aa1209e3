"""Conversion of docstrings to help texts."""

from __future__ import annotations

import inspect
from collections.abc import Callable


def of(function: Callable[..., object]) -> str:
    """Return the docstring with marks that keep its indented paragraphs from being wrapped."""
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    return "\n\n".join(f"\b\n{it}" if it.startswith(" ") else it for it in paragraphs)
