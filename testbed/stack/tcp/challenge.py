"""The limit of ACKs for segments that are not acceptable (RFC 5961, section 7)."""

from __future__ import annotations

from testbed.stack.tcp.config import SECOND


class AckLimit:
    """A rate limit of ACKs per second for one connection.

    Each connection has its own limit: segments to one connection do not use up the budget of
    another, and an off-path attacker learns nothing from a shared counter (CVE-2016-5696).
    """

    __slots__ = ("_ends_at", "_left", "_per_second")

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._ends_at = 0
        self._left = 0

    def allows(self, now: int) -> bool:
        """Take one ACK from the budget; return whether there was one."""
        if now >= self._ends_at:
            self._ends_at = now + SECOND
            self._left = self._per_second
        if self._left <= 0:
            return False
        self._left -= 1
        return True
