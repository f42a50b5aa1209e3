"""A queue before a rate limit: which frames wait, are dropped or marked, and when each leaves.

Without a queue, a wire fixes the departure of a frame at its arrival, as ``sch_netem`` does. Here
frames first pass the delay of the wire, then wait in a discipline, which decides on each frame when
the rate is free. The rate is that of tc-htb(8): a frame leaves as soon as the rate allows it, and
occupies the rate for its length *after* that.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Generic

from testbed.wire.queues import making
from testbed.wire.queues.discipline import Discipline, H, Surroundings, Waiting
from testbed.wire.queues.kinds import Queue
from testbed.wire.servers import Server


class Bottleneck(Generic[H]):
    """The delay stage, the discipline and the server of one direction of a wire.

    :param server: the rate. It is replaced when the rate changes.
    """

    def __init__(
        self,
        queue: Queue,
        server: Server,
        around: Surroundings[H],
        *,
        packets: int,
        octet_ns: Callable[[], float],
        now_ns: int,
    ) -> None:
        self.server = server
        self._around = around
        self._octet_ns = octet_ns
        self._delayed: list[tuple[int, int, H, int]] = []  # a heap: ready, number, handle, size
        self._sequence = 0  # keeps frames that are ready at once in the order of arrival
        self._sending: tuple[int, Waiting[H]] | None = None  # left by a trace bit by bit
        self._looked_ns = now_ns  # the time of the last decision
        self._discipline = self._make(queue, packets, now_ns)

    def change(self, queue: Queue, *, packets: int, now_ns: int) -> None:
        """Apply other options. Waiting frames stay, even if the kind changes."""
        if making.change(self._discipline, queue, packets=packets):
            return
        old, self._discipline = self._discipline, self._make(queue, packets, now_ns)
        while (item := old.dequeue(self._looked_ns)) is not None:
            self._discipline.enqueue(item, now_ns)

    def put(self, handle: H, size: int, ready_ns: int) -> None:
        """Add a frame that passes the delay at ``ready_ns``."""
        self._sequence += 1
        heapq.heappush(self._delayed, (ready_ns, self._sequence, handle, size))

    @property
    def waiting_octets(self) -> int:
        """The size of the frames that wait for the rate, in octets."""
        sending = self._sending[1].size if self._sending else 0
        return self._discipline.octets + sending

    @property
    def depends_on_rate(self) -> bool:
        """Whether another rate could let a frame leave before :meth:`next_ns`."""
        return len(self._discipline) > 0 or self.next_ns() is None

    def next_ns(self) -> int | None:
        """Return the time of the next action; None if no frame is held."""
        if self._sending is not None:
            return self._sending[0]
        if len(self._discipline):
            return self.server.begin(self._looked_ns)
        if self._delayed:
            ready_ns = max(self._delayed[0][0], self._looked_ns)
            return self.server.begin(ready_ns)
        return None

    def leaving(self, now_ns: int) -> list[tuple[H, int]]:
        """Return handle and octets of the frames that have left by ``now_ns``."""
        left: list[tuple[H, int]] = []
        while (at_ns := self.next_ns()) is not None and at_ns <= now_ns:
            self._looked_ns = at_ns
            if self._sending is not None:
                item = self._sending[1]
                self._sending = None
                left.append((item.handle, item.size))
                continue
            if len(self._discipline) or at_ns > self._delayed[0][0]:
                self._admit(at_ns)
            else:
                # The rate is unlimited: no frame waits for another of the same time.
                self._admit_first()
            picked = self._discipline.dequeue(at_ns)
            if picked is None:
                continue
            gone_ns = self.server.take(picked.size, at_ns)
            if gone_ns <= now_ns:
                self._looked_ns = max(at_ns, gone_ns)
                left.append((picked.handle, picked.size))
            else:
                self._sending = gone_ns, picked
        self._admit(now_ns)  # frames to drop on arrival are dropped by now
        return left

    def _admit(self, now_ns: int) -> None:
        """Move the frames that have passed the delay to the queue."""
        while self._delayed and self._delayed[0][0] <= now_ns:
            self._admit_first()

    def _admit_first(self) -> None:
        ready_ns, _, handle, size = heapq.heappop(self._delayed)
        self._discipline.enqueue(Waiting(handle, size, ready_ns), ready_ns)

    def _make(self, queue: Queue, packets: int, now_ns: int) -> Discipline[H]:
        return making.make(
            queue, self._around, packets=packets, octet_ns=self._octet_ns, now_ns=now_ns
        )
