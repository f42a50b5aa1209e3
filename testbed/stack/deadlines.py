"""When each of many connections is due: one heap for all of them."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

NEVER: Final = 1 << 62  # a time that does not come

_T = TypeVar("_T")


class Deadlines(Generic[_T]):
    """The deadlines of many items, each of which knows its own.

    The heap has an entry for each item that is not later than its deadline.  Most changes move a
    deadline to later: then the entry stays, and is replaced when it is reached.  Each item also has
    a stack of the times of its entries, the earliest on top, so that none is made twice.
    """

    __slots__ = ("_count", "_heap", "_of", "_scheduled", "_stale")

    def __init__(self, of: Callable[[_T], int]) -> None:
        """Begin without items.

        :param of: tells an item's earliest deadline, ``NEVER`` if it has none.
        """
        self._of = of
        self._heap: list[tuple[int, int, _T]] = []
        self._scheduled: dict[_T, list[int]] = {}
        self._count = 0
        self._stale = 0  # entries of items that have been forgotten

    def arm(self, item: _T) -> None:
        """See that there is an entry not later than the item's deadline."""
        at = self._of(item)
        scheduled = self._scheduled.get(item)
        if scheduled is None:
            if at >= NEVER:
                return
            scheduled = self._scheduled[item] = []
        elif at >= scheduled[-1]:
            return
        scheduled.append(at)
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, item))

    def forget(self, item: _T) -> None:
        """Drop an item that will not be due any more."""
        self._stale += len(self._scheduled.pop(item, ()))
        if self._stale * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2] in self._scheduled]
            heapq.heapify(self._heap)
            self._stale = 0

    def next(self) -> int | None:
        """Return the earliest deadline, ``None`` if there is none."""
        while self._heap:
            at, _, item = self._heap[0]
            known = item in self._scheduled  # else it has been forgotten, whatever it says
            if known and self._of(item) == at:
                return at
            self._pop()
            if known:
                self.arm(item)
        return None

    def expired(self, now: int) -> Iterator[_T]:
        """Yield the items that are due, each once; they are armed anew with :meth:`arm`."""
        while self._heap and self._heap[0][0] <= now:
            known = self._heap[0][2] in self._scheduled
            item = self._pop()
            if not known:
                continue
            if self._of(item) <= now:
                yield item
            else:
                self.arm(item)

    def _pop(self) -> _T:
        _, _, item = heapq.heappop(self._heap)
        scheduled = self._scheduled.get(item)
        if scheduled is None:
            self._stale -= 1
        else:
            scheduled.pop()
            if not scheduled:
                del self._scheduled[item]
        return item
