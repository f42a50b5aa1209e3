"""Where the figures of a paper stand.  No more is here, as the command line loads it each time."""

from __future__ import annotations

import enum


class Style(enum.StrEnum):
    """Where a figure stands; its width follows from it, and the size of its text."""

    ONE_COLUMN = "one-column"  # as wide as a page of one column of text
    TWO_COLUMN = "two-column"  # as wide as one of two columns

    @property
    def width(self) -> float:
        """Inches, as in the usual templates: 6.3 of A4, 3.4 of ACM's and IEEE's columns."""
        return 6.3 if self is Style.ONE_COLUMN else 3.4

    @property
    def text(self) -> float:
        """Points."""
        return 9.0 if self is Style.ONE_COLUMN else 8.0
