"""Whether a guest hangs, or a busy host keeps it from its work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_IDLE: Final = 0.01  # of a processor: a guest that uses less has nothing to do
_AT_MOST: Final = 10  # times the limit, whatever the guest does


class Patience:
    """Waits for a sign of life as long as an idle host would need for it.

    A guest that spins has used the limit in CPU time; one that waits for ever uses none.  One that
    many others keep from the processor does neither.

    :param limit_s: how long a guest may take for a sign on an idle host.
    :param spent: returns the CPU time in seconds that the guest has used.
    """

    def __init__(self, limit_s: float, spent: Callable[[], float]) -> None:
        self._limit_s, self._spent = limit_s, spent
        self._before = 0.0

    def begin(self) -> None:
        """Take that there was a sign just now."""
        self._before = self._spent()

    def is_over(self, waited_s: float) -> bool:
        """Tell whether a guest without a sign for so long hangs.

        :param waited_s: in real time.
        """
        if waited_s <= self._limit_s:
            return False
        used = self._spent() - self._before
        idle = used < _IDLE * waited_s
        return idle or used > self._limit_s or waited_s > _AT_MOST * self._limit_s
