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
    """The outcome of one script with one version of IP.

    :param line: the line at which the script ended, if it has not passed.
    :param reason: the reason in one clause, if the script has not passed.
    :param expected: the expectation; ``got`` is the observation; both in the script's notation.
    """

    file: str
    ip_version: str
    verdict: Verdict
    line: int | None = None
    reason: str = ""
    expected: str = ""
    got: str = ""


class Mismatch(Exception):  # noqa: N818 - the stack's answer, not an error of the runner
    """The stack does not do what a script expects."""

    def __init__(self, line: int, reason: str, expected: str = "", got: str = "") -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason
        self.expected = expected
        self.got = got
