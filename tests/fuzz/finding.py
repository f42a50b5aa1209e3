"""The findings of a fuzzer."""

from __future__ import annotations

import traceback
from typing import Final

_PLACES: Final = 2  # functions that tell exceptions of one type apart


class Finding(Exception):  # noqa: N818 - it is what is looked for
    """Something that must never happen has happened.

    :param what: has happened, the same for all cases of its kind; more may follow after a colon.
    :param circumstances: tell kinds of the same thing apart.
    """

    def __init__(self, what: str, *circumstances: str) -> None:
        super().__init__(what, *circumstances)
        self.what = what
        self.circumstances = circumstances

    def __str__(self) -> str:
        return "; ".join((self.what, *self.circumstances))


def described(error: BaseException) -> str:
    """Return an exception in one line: what it is, and where it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def kind(error: BaseException) -> str:
    """Return what stays the same while a case is made smaller: type and place."""
    if isinstance(error, Finding):
        return "; ".join((error.what.partition(":")[0], *error.circumstances))
    frames = traceback.extract_tb(error.__traceback__)
    places = " from ".join(each.name for each in frames[: -_PLACES - 1 : -1])
    return f"{type(error).__name__} in {places}" if frames else type(error).__name__
