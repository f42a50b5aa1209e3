"""What a fuzzer finds."""

from __future__ import annotations

import traceback


class Finding(Exception):  # noqa: N818 - it is what is looked for
    """Something that must never happen has happened."""


def described(error: BaseException) -> str:
    """Return an exception in one line: what it is, and where it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def kind(error: BaseException) -> str:
    """Return what stays the same while a case is made smaller: type and place."""
    if isinstance(error, Finding):
        return str(error).partition(":")[0]
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {frames[-1].name}" if frames else type(error).__name__
