"""Distinguishes a guest that hangs from a guest on a busy host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_IDLE: Final = 0.01  # share of a processor: a guest that uses less is idle
_AT_MOST: Final = 10  # times the limit, also if the guest uses the processor


class Patience:
    """The limit on the wait for a sign of life, corrected for the load of the host.

    A guest that spins uses the whole limit in CPU time. A guest that waits for ever uses almost
    none. A guest that competes with many other processes is between these.

    :param limit_s: how long a guest may take for a sign on an idle host.
    :param spent: a function that returns the guest's CPU time in seconds.
    """

    def __init__(self, limit_s: float, spent: Callable[[], float]) -> None:
        self._limit_s, self._spent = limit_s, spent
        self._before = 0.0

    def begin(self) -> None:
        """Record a sign of life now."""
        self._before = self._spent()

    def is_over(self, waited_s: float) -> bool:
        """Return whether a guest without a sign of life for a time hangs.

        :param waited_s: that time in seconds of real time.
        """
        if waited_s <= self._limit_s:
            return False
        used = self._spent() - self._before
        idle = used < _IDLE * waited_s
        return idle or used > self._limit_s or waited_s > _AT_MOST * self._limit_s
