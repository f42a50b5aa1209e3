"""FQ-CoDel (RFC 8290): flows in queues of their own, served in turn, each under CoDel."""

from __future__ import annotations

from collections import deque
from typing import Generic

from testbed.wire.queues.codel import Control
from testbed.wire.queues.discipline import H, Line, Surroundings, Waiting
from testbed.wire.queues.kinds import FqCodel


class _Flow(Line[H]):
    """The queue of the flows of one hash value."""

    __slots__ = ("control", "deficit", "served")

    def __init__(self, control: Control[H]) -> None:
        super().__init__()
        self.control = control
        self.deficit = 0
        self.served = False  # whether the queue is in one of the two lists


class FqCodelQueue(Generic[H]):
    """All flows.  New ones are served first (RFC 8290, section 4.2)."""

    def __init__(self, options: FqCodel, around: Surroundings[H]) -> None:
        self.octets = 0
        self._packets = 0
        self._options = options
        self._around = around
        self._flows: dict[int, _Flow[H]] = {}
        self._new: deque[_Flow[H]] = deque()
        self._old: deque[_Flow[H]] = deque()
        self._turn: _Flow[H]  # the flow that is served at the moment

    def __len__(self) -> int:
        return self._packets

    def change(self, queue: FqCodel) -> None:
        """See :class:`Discipline`.  The number of flows is for those that come."""
        self._options = queue
        for flow in self._flows.values():
            flow.control.options = queue

    def enqueue(self, item: Waiting[H], now_ns: int) -> None:  # noqa: ARG002 - of the protocol
        """See :class:`Discipline`; RFC 8290, section 4.1."""
        flow = self._flow(self._around.flow(item.handle) % self._options.flows)
        flow.append(item)
        self.octets += item.size
        self._packets += 1
        if not flow.served:
            flow.served = True
            flow.deficit = self._quantum
            self._new.append(flow)
        if self._packets > self._options.limit:
            self._drop_from_the_longest()

    def dequeue(self, now_ns: int) -> Waiting[H] | None:
        """See :class:`Discipline`; RFC 8290, section 4.2."""
        while self._new or self._old:
            flows = self._new or self._old
            flow = flows[0]
            if flow.deficit <= 0:
                flow.deficit += self._quantum
                flows.popleft()
                self._old.append(flow)
                continue
            self._turn = flow
            item = flow.control.dequeue(self._take, now_ns)
            if item is not None:
                flow.deficit -= item.size
                return item
            flows.popleft()
            # One that was new waits its turn among the old ones, so that it cannot starve them.
            if flows is self._new and self._old:
                self._old.append(flow)
            else:
                flow.served = False
        return None

    @property
    def _quantum(self) -> int:
        return self._options.quantum or self._around.frame

    def _take(self) -> Waiting[H] | None:
        item = self._turn.pop()
        if item is not None:
            self.octets -= item.size
            self._packets -= 1
        return item

    def _flow(self, number: int) -> _Flow[H]:
        flow = self._flows.get(number)
        if flow is None:
            control: Control[H] = Control(self._options, self._around, lambda: self.octets)
            flow = self._flows[number] = _Flow(control)
        return flow

    def _drop_from_the_longest(self) -> None:
        """RFC 8290, section 4.1: the flow with most octets loses up to half of them, the oldest."""
        longest = max(self._flows.values(), key=lambda flow: flow.octets)
        enough = longest.octets // 2
        lost = 0
        for _ in range(self._options.drop_batch):
            item = longest.pop()
            if item is None:
                break
            longest.control.strengthen(1)
            lost += item.size
            self.octets -= item.size
            self._packets -= 1
            self._around.drop_full(item)
            if lost >= enough:
                break
