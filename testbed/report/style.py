"""The style of figures for a paper. This module is small, as each command loads it."""

from __future__ import annotations

import enum


class Style(enum.StrEnum):
    """The layout of the paper. It determines the width of a figure and the size of its text."""

    ONE_COLUMN = "one-column"  # as wide as a page with one column of text
    TWO_COLUMN = "two-column"  # as wide as one of two columns of text

    @property
    def width(self) -> float:
        """The width in inches, as in templates: 6.3 for A4, 3.4 for columns of ACM and IEEE."""
        return 6.3 if self is Style.ONE_COLUMN else 3.4

    @property
    def text(self) -> float:
        """The size of text in points."""
        return 9.0 if self is Style.ONE_COLUMN else 8.0
