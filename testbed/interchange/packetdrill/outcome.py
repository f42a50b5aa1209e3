"""The outcome of a script."""

from __future__ import annotations

import enum

import msgspec


class Verdict(enum.Enum):
    """Whether the stack does what a script expects."""

    PASS = "pass"  # noqa: S105 - the word
    FAIL = "fail"
    UNSUPPORTED = "unsupported"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One script, with one version of IP.

    :param line: where it ended, of a script that has not passed.
    :param reason: in one clause, why it has not passed.
    :param expected: what the script says; ``got`` is what was there; both in its notation.
    """

    file: str
    ip_version: str
    verdict: Verdict
    line: int | None = None
    reason: str = ""
    expected: str = ""
    got: str = ""


class Mismatch(Exception):  # noqa: N818 - the stack's answer, not an error of the runner
    """The stack does something else than a script expects."""

    def __init__(self, line: int, reason: str, expected: str = "", got: str = "") -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason
        self.expected = expected
        self.got = got
