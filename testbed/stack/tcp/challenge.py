"""The limit of challenge ACKs (RFC 5961, section 7)."""

from __future__ import annotations

from testbed.stack.connection import Randomness
from testbed.stack.tcp.config import SECOND


class ChallengeLimit:
    """So many challenge ACKs a second and no more, for a whole endpoint.

    A fixed limit would tell an attacker off the path how many others were sent (CVE-2016-5696),
    so each second's is drawn at random between half and three halves of it.
    """

    __slots__ = ("_ends_at", "_left", "_limit", "_rng")

    def __init__(self, per_second: int, rng: Randomness) -> None:
        self._limit = per_second
        self._rng = rng
        self._ends_at = 0
        self._left = 0

    def allows(self, now: int) -> bool:
        """Take one from the budget, if there is one left."""
        if now >= self._ends_at:
            self._ends_at = now + SECOND
            self._left = self._limit // 2 + self._rng.getrandbits(32) % max(1, self._limit)
        if self._left <= 0:
            return False
        self._left -= 1
        return True
