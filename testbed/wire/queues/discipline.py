"""The interface of queueing disciplines, and the simplest: first in, first out.

Disciplines are sans-IO: they are given the time, their randomness and what owns the frames.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

H = TypeVar("H")


class Waiting(NamedTuple, Generic[H]):
    """A frame in a queue: its handle, its octets, and when it came, in nanoseconds."""

    handle: H
    size: int
    since_ns: int


class Surroundings(Generic[H]):
    """The services of the wire that its discipline may use.

    :param random: draws from 0 (inclusive) to 1.
    :param drop_full: forget a frame that found no room.
    :param drop_early: forget a frame that was chosen.
    :param mark: set CE (RFC 3168, section 5); None: the frame's sender does not understand it.
    :param flow: a number that packets of one flow share.
    :param frame: octets of the largest frame of the link.
    """

    __slots__ = ("_mark", "drop_early", "drop_full", "flow", "frame", "marked", "random")

    def __init__(
        self,
        *,
        random: Callable[[], float],
        drop_full: Callable[[Waiting[H]], None],
        drop_early: Callable[[Waiting[H]], None],
        mark: Callable[[H], H | None],
        flow: Callable[[H], int],
        frame: int,
    ) -> None:
        self.random = random
        self.drop_full = drop_full
        self.drop_early = drop_early
        self.flow = flow
        self.frame = frame
        self.marked = 0
        self._mark = mark

    def mark(self, item: Waiting[H]) -> Waiting[H] | None:
        """Mark a frame and count it; None: it cannot be marked."""
        marked = self._mark(item.handle)
        if marked is None:
            return None
        self.marked += 1
        return item._replace(handle=marked)


class Discipline(Protocol[H]):
    """Decides what waits, what leaves next, and what is dropped or marked.

    Times never go down from one call to the next.
    """

    octets: int  # octets that wait

    def __len__(self) -> int:
        """How many frames wait."""

    def enqueue(self, item: Waiting[H], now_ns: int) -> None:
        """Take a frame, or drop it."""

    def dequeue(self, now_ns: int) -> Waiting[H] | None:
        """Return the frame to send now; None: nothing waits."""


class Line(Generic[H]):
    """Frames in the order they came, and their octets."""

    __slots__ = ("items", "octets")

    def __init__(self) -> None:
        self.items: deque[Waiting[H]] = deque()
        self.octets = 0

    def __len__(self) -> int:
        return len(self.items)

    def append(self, item: Waiting[H]) -> None:
        """Let a frame stand behind all others."""
        self.items.append(item)
        self.octets += item.size

    def pop(self) -> Waiting[H] | None:
        """Take the first frame."""
        if not self.items:
            return None
        item = self.items.popleft()
        self.octets -= item.size
        return item


class FifoQueue(Line[H]):
    """Drops what finds the queue full: pfifo of tc(8).

    :param limit: frames.
    """

    __slots__ = ("_around", "limit")

    def __init__(self, limit: int, around: Surroundings[H]) -> None:
        super().__init__()
        self.limit = limit
        self._around = around

    def enqueue(self, item: Waiting[H], now_ns: int) -> None:  # noqa: ARG002 - of the protocol
        """See :class:`Discipline`."""
        if len(self.items) >= self.limit:
            self._around.drop_full(item)
        else:
            self.append(item)

    def dequeue(self, now_ns: int) -> Waiting[H] | None:  # noqa: ARG002 - of the protocol
        """See :class:`Discipline`."""
        return self.pop()
