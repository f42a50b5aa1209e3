"""A comparison of the output of a command with the output on a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

STAMP: Final = re.compile(r"\d{8}T\d{6}Z(?:-[0-9a-f]{8})?")
PORT: Final = re.compile(r"(?<=:)(?:3[2-9]|[45]\d|6[0-5])\d{3}\b")  # a port that the host chooses
NUMBER: Final = re.compile(r"(?<![\w.:/])\d+(?:\.\d+)?(?![\w]|[.:/]\d)")
UNIT: Final = re.compile(r" ?(?:[mµ]?s\b|%|[kMG]?bit/s)")
CLOSE: Final = 0.1  # numbers of measurements may differ by this, relative, before a page is wrong
ANY: Final = "..."


def differing(shown: Sequence[str], printed: Sequence[str], *, numbers: bool) -> str | None:
    """Return the first line of a page that was not printed in its place; None: all were.

    With ``numbers``, counts must be equal and measured numbers close; without, any will do.
    """
    at = 0
    anywhere = False
    for line in filter(None, map(_tidy, shown)):
        if line == ANY:
            anywhere = True
            continue
        while at < len(printed) and not alike(line, _tidy(printed[at]), numbers=numbers):
            if not anywhere and _tidy(printed[at]):
                return line
            at += 1
        if at == len(printed):
            return line
        at += 1
        anywhere = False
    rest = [line for line in printed[at:] if line.strip()]
    return f"(nothing more, but then comes) {rest[0]}" if shown and rest and not anywhere else None


def alike(shown: str, printed: str, *, numbers: bool) -> bool:
    """Return whether a line is the one that the page shows."""
    pattern = "(.*)".join(
        r"([\d.]+)".join(re.escape(piece) for piece in NUMBER.split(part))
        for part in shown.split(ANY)
    )
    found = re.fullmatch(pattern, printed)
    if found is None:
        return False
    # The groups are those of numbers and of "...", in the order of the line.
    marks = [*NUMBER.finditer(shown), *re.finditer(re.escape(ANY), shown)]
    marks.sort(key=lambda mark: mark.start())
    return all(
        mark[0] == ANY or not numbers or _close(mark, group)
        for mark, group in zip(marks, found.groups(), strict=True)
    )


def _close(mark: re.Match[str], printed: str) -> bool:
    shown = mark[0]
    measured = "." in shown or UNIT.match(mark.string, mark.end())
    if not measured or not re.fullmatch(r"\d+(\.\d+)?", printed):
        return shown == printed
    digit = 10.0 ** -len(shown.partition(".")[2])
    return abs(float(shown) - float(printed)) <= max(CLOSE * float(shown), 1.001 * digit)


def _tidy(line: str) -> str:
    return PORT.sub("PORT", STAMP.sub("STAMP", " ".join(line.split())))
