"""The frames that one direction of a wire holds until their departure."""

from __future__ import annotations

import heapq
from collections import deque
from typing import Generic, TypeVar

from testbed.wire.slots import Slots

H = TypeVar("H")


class Departures(Generic[H]):
    """Frames in the order of their departure. Frames with equal times keep their order.

    :ivar last_ns: the latest departure of all frames so far.
    :ivar slots: the slots for which due frames wait, or ``None``.
    """

    def __init__(self) -> None:
        self._fifo: deque[tuple[int, H, int]] = deque()  # (due, handle, size), in order
        self._late: list[tuple[int, int, H, int]] = []  # a heap of those that came out of order
        self._number = 0
        self.last_ns = 0
        self.slots: Slots | None = None

    def put(self, due_ns: int, handle: H, size: int) -> None:
        """Hold a frame of ``size`` octets."""
        if due_ns >= self.last_ns:
            self.last_ns = due_ns
            self._fifo.append((due_ns, handle, size))
        else:
            self._number += 1
            heapq.heappush(self._late, (due_ns, self._number, handle, size))

    def next_ns(self) -> int | None:
        """Return when the next frame can leave, or later with slots; None if none is held."""
        if self.slots is None and not self._late:
            return self._fifo[0][0] if self._fifo else None
        due_ns = self._due_ns()
        if due_ns is None or self.slots is None:
            return due_ns
        return max(due_ns, self.slots.next_ns)

    def leave(self, ready: list[H], now_ns: int) -> int:
        """Append the frames that have left by now; return their octets."""
        if self.slots is not None:
            return self._leave_in(self.slots, ready, now_ns)
        fifo, late = self._fifo, self._late
        octets = 0
        while True:
            if fifo and fifo[0][0] <= now_ns and not (late and late[0][0] < fifo[0][0]):
                _, handle, size = fifo.popleft()
            elif late and late[0][0] <= now_ns:
                _, _, handle, size = heapq.heappop(late)
            else:
                return octets
            ready.append(handle)
            octets += size

    def look(self, now_ns: int) -> None:
        """Update the slots after a frame was added."""
        due_ns = self._due_ns()
        if self.slots is not None and due_ns is not None:
            self.slots.look(due_ns, now_ns)

    def _leave_in(self, slots: Slots, ready: list[H], now_ns: int) -> int:
        octets = 0
        while (due_ns := self._due_ns()) is not None:
            at_ns = max(due_ns, slots.next_ns)
            if at_ns > now_ns:
                break
            slots.look(due_ns, at_ns)
            if slots.next_ns > at_ns:
                continue
            if self._fifo and self._fifo[0][0] == due_ns:
                _, handle, size = self._fifo.popleft()
            else:
                _, _, handle, size = heapq.heappop(self._late)
            ready.append(handle)
            octets += size
            slots.left(size, at_ns)
        return octets

    def _due_ns(self) -> int | None:
        """Return when the first frame is due."""
        if self._late and not (self._fifo and self._fifo[0][0] <= self._late[0][0]):
            return self._late[0][0]
        return self._fifo[0][0] if self._fifo else None
