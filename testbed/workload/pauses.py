"""The longest intervals in which an end read nothing."""

from __future__ import annotations

import heapq
from typing import Final

PAUSES: Final = 32  # pauses of one half that are kept

Pause = tuple[int, int]  # length and end, nanoseconds


class Pauses:
    """The longest intervals between two reads."""

    def __init__(self) -> None:
        self._longest: list[Pause] = []  # a heap with the shortest pause first

    @property
    def longest_ns(self) -> int:
        """The length of the longest pause, or 0 if there is none."""
        return max(self._longest, default=(0, 0))[0]

    def note(self, length_ns: int, end_ns: int) -> None:
        """Record a pause. Only the longest :data:`PAUSES` are kept."""
        if len(self._longest) < PAUSES:
            heapq.heappush(self._longest, (length_ns, end_ns))
        elif length_ns > self._longest[0][0]:
            heapq.heapreplace(self._longest, (length_ns, end_ns))

    def in_order(self) -> tuple[Pause, ...]:
        """Return the pauses in the order of their ends."""
        return tuple(sorted(self._longest, key=lambda pause: pause[1]))
