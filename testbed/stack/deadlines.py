"""The deadlines of many connections in one heap."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

# A time that is never reached: the greatest integer that mypyc stores without an object.
NEVER: Final = (1 << 62) - 1

_T = TypeVar("_T")


class _Armed:
    """The state of one item.

    :ivar at: its deadline.
    :ivar entries: the times of its entries in the heap, the earliest last.
    """

    __slots__ = ("at", "entries")

    def __init__(self) -> None:
        self.at = NEVER
        self.entries: list[int] = []


class Deadlines(Generic[_T]):
    """The present deadlines of many items.

    The heap has an entry for each item, not later than its deadline. Most changes postpone a
    deadline: then the entry stays, and is replaced when it is reached. The times of an item's
    entries are recorded, so that no entry is made twice.
    """

    __slots__ = ("_armed", "_count", "_heap", "_stale")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, _T]] = []
        self._armed: dict[_T, _Armed] = {}
        self._count = 0
        self._stale = 0  # entries of items that have been forgotten

    def arm(self, item: _T, at: int) -> None:
        """Set the deadline of an item; ``NEVER`` clears it."""
        armed = self._armed.get(item)
        if armed is None:
            if at >= NEVER:
                return
            armed = self._armed[item] = _Armed()
        armed.at = at
        if at < NEVER and not (armed.entries and armed.entries[-1] <= at):
            armed.entries.append(at)
            self._count += 1
            heapq.heappush(self._heap, (at, self._count, item))

    def forget(self, item: _T) -> None:
        """Remove an item."""
        armed = self._armed.pop(item, None)
        if armed is not None:
            self._stale += len(armed.entries)
        if self._stale * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2] in self._armed]
            heapq.heapify(self._heap)
            self._stale = 0

    def next(self) -> int | None:
        """Return the earliest deadline, ``None`` if there is none."""
        while self._heap:
            at, _, item = self._heap[0]
            armed = self._armed.get(item)
            if armed is not None and armed.at == at:
                return at
            self._pop()
        return None

    def expired(self, now: int) -> Iterator[_T]:
        """Yield each due item once, and clear its deadline."""
        while self._heap and self._heap[0][0] <= now:
            item = self._heap[0][2]
            armed = self._armed.get(item)
            if armed is not None and armed.at <= now:
                armed.at = NEVER
                self._pop()
                yield item
            else:
                self._pop()

    def _pop(self) -> None:
        """Remove the first entry. Add another one if its item still needs one."""
        _, _, item = heapq.heappop(self._heap)
        armed = self._armed.get(item)
        if armed is None:
            self._stale -= 1
            return
        armed.entries.pop()
        if armed.at < NEVER:
            self.arm(item, armed.at)
        elif not armed.entries:
            del self._armed[item]
