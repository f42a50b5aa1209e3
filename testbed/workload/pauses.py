"""The longest times in which an end read nothing."""

from __future__ import annotations

import heapq
from typing import Final

PAUSES: Final = 32  # of one half that are remembered

Pause = tuple[int, int]  # its length and its end, nanoseconds


class Pauses:
    """The longest times between two reads."""

    def __init__(self) -> None:
        self._longest: list[Pause] = []  # a heap, the shortest first

    @property
    def longest_ns(self) -> int:
        """The longest one; 0 if there is none."""
        return max(self._longest, default=(0, 0))[0]

    def note(self, length_ns: int, end_ns: int) -> None:
        """Note one; of many, the shortest are forgotten."""
        if len(self._longest) < PAUSES:
            heapq.heappush(self._longest, (length_ns, end_ns))
        elif length_ns > self._longest[0][0]:
            heapq.heapreplace(self._longest, (length_ns, end_ns))

    def in_order(self) -> tuple[Pause, ...]:
        """Return them in the order of their ends."""
        return tuple(sorted(self._longest, key=lambda pause: pause[1]))
