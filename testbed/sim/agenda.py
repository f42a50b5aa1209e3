"""The event queue in virtual time: one heap of actions for all links and stacks.

It has no tasks. :class:`~testbed.sim.loop.VirtualLoop` advances it whenever no task can run.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

from testbed.errors import SimulationError

Action = Callable[[int], object]

FOREVER: Final = (1 << 62) - 1  # a time that does not come: see NEVER of testbed.stack.deadlines
_AT_ONCE: Final = 1_000_000  # actions at one moment: more than its packets can cause
_NS: Final = 1_000_000_000


class Agenda:
    """A virtual clock and its scheduled actions.

    An action, such as the departure of a packet, is neither cancelled nor awaited, and costs only
    an entry of a heap.

    :ivar now: the time in nanoseconds.
    """

    __slots__ = ("_actions", "_order", "_stirred", "now")

    def __init__(self) -> None:
        self.now = 0
        self._actions: list[tuple[int, int, Action]] = []  # a heap
        self._order = 0  # the order of actions of the same time
        self._stirred = False

    def at(self, when: int, action: Action) -> None:
        """Call ``action`` with the time at ``when`` (nanoseconds), or now if that is past."""
        self._order += 1
        heapq.heappush(self._actions, (when, self._order, action))

    def stir(self) -> None:
        """Let :meth:`advance` return after the present action, as a task can run."""
        self._stirred = True

    def advance(self, until: int) -> bool:
        """Advance until a task can run, or until a time.

        :return: whether a task can run.
        :raises SimulationError: too many actions happen at one moment.
        """
        actions = self._actions
        self._stirred = False
        left = _AT_ONCE
        while actions and actions[0][0] <= until:
            when, _, action = heapq.heappop(actions)
            if when > self.now:
                self.now = when
                left = _AT_ONCE
            action(self.now)
            if self._stirred:
                return True
            left -= 1
            if not left:
                raise SimulationError(
                    f"the time of the simulation does not advance beyond {self.now / _NS:.9f} s"
                )
        if until < FOREVER and until > self.now:
            self.now = until
        return False
