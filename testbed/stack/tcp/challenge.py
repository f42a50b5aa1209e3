"""The limit of ACKs for segments that are not acceptable (RFC 5961, section 7)."""

from __future__ import annotations

from testbed.stack.tcp.config import SECOND


class AckLimit:
    """So many a second and no more, for one connection.

    What a stranger sends to one connection uses up nothing of another, and a counter that is not
    shared tells an attacker off the path nothing (CVE-2016-5696).
    """

    __slots__ = ("_ends_at", "_left", "_per_second")

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._ends_at = 0
        self._left = 0

    def allows(self, now: int) -> bool:
        """Take one from the budget, if there is one left."""
        if now >= self._ends_at:
            self._ends_at = now + SECOND
            self._left = self._per_second
        if self._left <= 0:
            return False
        self._left -= 1
        return True
