"""Controlled delay (RFC 8289): one queue, and the control law that FQ-CoDel uses per flow."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Generic

from testbed.wire.queues.discipline import H, Line, Surroundings, Waiting
from testbed.wire.queues.kinds import Codel, FqCodel


class Control(Generic[H]):
    """The state of CoDel for one queue, RFC 8289, section 5.

    Where the RFC leaves a choice it follows Linux (include/net/codel_impl.h): a dropping state soon
    after the last one continues with its count.

    :param backlog: the octets that wait after the present frame.
    """

    __slots__ = (
        "_above_since_ns",
        "_around",
        "_backlog",
        "_count",
        "_count_before",
        "_drop_next_ns",
        "_dropping",
        "_sojourn_ns",
        "options",
    )

    def __init__(
        self,
        options: Codel | FqCodel,
        around: Surroundings[H],
        backlog: Callable[[], int],
    ) -> None:
        self.options = options
        self._around = around
        self._backlog = backlog
        self._above_since_ns = 0  # when dropping may begin; 0: the delay is below the target
        self._drop_next_ns = 0
        self._count = self._count_before = 0
        self._dropping = False
        self._sojourn_ns = 0  # sojourn time of the current frame

    def strengthen(self, drops: int) -> None:
        """Increase the count by packets dropped at the limit, as Linux's FQ-CoDel does."""
        self._count += drops

    def dequeue(self, take: Callable[[], Waiting[H] | None], now_ns: int) -> Waiting[H] | None:
        """Return the next frame to send, and drop those before it.

        :param take: returns the first frame of the queue.
        """
        item = take()
        if item is None:
            self._dropping = False
            self._above_since_ns = 0
            return None
        above = self._is_above(item, now_ns)
        if self._dropping and not above:
            self._dropping = False
        elif self._dropping:
            item = self._go_on(item, take, now_ns)
        elif above:
            item = self._begin(item, take, now_ns)
        return self._over_threshold(item)

    def _is_above(self, item: Waiting[H] | None, now_ns: int) -> bool:
        """Whether the delay has been above the target for an interval (``dodequeue``)."""
        if item is None:
            self._above_since_ns = 0
            return False
        self._sojourn_ns = now_ns - item.since_ns
        if self._sojourn_ns < self.options.target or self._backlog() <= self._around.frame:
            self._above_since_ns = 0
            return False
        if not self._above_since_ns:
            self._above_since_ns = now_ns + self.options.interval
            return False
        return now_ns > self._above_since_ns

    def _begin(
        self, item: Waiting[H], take: Callable[[], Waiting[H] | None], now_ns: int
    ) -> Waiting[H] | None:
        """Enter the dropping state with one drop or mark."""
        marked = self._around.mark(item) if self.options.ecn else None
        following: Waiting[H] | None = marked
        if marked is None:
            self._around.drop_early(item)
            following = take()
            self._is_above(following, now_ns)
        self._dropping = True
        more = self._count - self._count_before
        recent = now_ns - self._drop_next_ns < 16 * self.options.interval
        self._count = more if more > 1 and recent else 1
        self._count_before = self._count
        self._drop_next_ns = self._law(now_ns)
        return following

    def _go_on(
        self, item: Waiting[H] | None, take: Callable[[], Waiting[H] | None], now_ns: int
    ) -> Waiting[H] | None:
        """Drop or mark as often as it is time for it."""
        while self._dropping and now_ns >= self._drop_next_ns and item is not None:
            self._count += 1
            marked = self._around.mark(item) if self.options.ecn else None
            if marked is not None:
                self._drop_next_ns = self._law(self._drop_next_ns)
                return marked
            self._around.drop_early(item)
            item = take()
            if self._is_above(item, now_ns):
                self._drop_next_ns = self._law(self._drop_next_ns)
            else:
                self._dropping = False
        return item

    def _law(self, from_ns: int) -> int:
        """RFC 8289, section 5.5: the interval over the square root of the count."""
        return from_ns + int(self.options.interval / math.sqrt(self._count))

    def _over_threshold(self, item: Waiting[H] | None) -> Waiting[H] | None:
        threshold = self.options.ce_threshold
        if item is None or not threshold or self._sojourn_ns <= threshold:
            return item
        return self._around.mark(item) or item


class CodelQueue(Line[H]):
    """One queue under CoDel."""

    __slots__ = ("_around", "_control", "_options")

    def __init__(self, options: Codel, around: Surroundings[H]) -> None:
        super().__init__()
        self._options = options
        self._around = around
        self._control: Control[H] = Control(options, around, lambda: self.octets)

    def change(self, queue: Codel) -> None:
        """See :class:`Discipline`."""
        self._options = self._control.options = queue

    def enqueue(self, item: Waiting[H], now_ns: int) -> None:  # noqa: ARG002 - of the protocol
        """See :class:`Discipline`."""
        if len(self.items) >= self._options.limit:
            self._around.drop_full(item)
        else:
            self.append(item)

    def dequeue(self, now_ns: int) -> Waiting[H] | None:
        """See :class:`Discipline`."""
        return self._control.dequeue(self.pop, now_ns)
