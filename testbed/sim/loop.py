"""An asyncio event loop on a virtual clock.

When no task can go on, time jumps to what happens next.  A loop in which nothing can happen any
more says so.  Files, sockets, threads and processes have no place here: their time is not virtual.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import math
import selectors
from collections.abc import Callable
from typing import Any, Final, TypeVarTuple

from testbed.errors import SimulationError

_Ts = TypeVarTuple("_Ts")

Action = Callable[[int], object]

_NS: Final = 1_000_000_000
_AT_ONCE: Final = 1_000_000  # actions at one moment: many more than packets can meet in one


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose ``time()`` is virtual and starts at 0.

    asyncio's times are floats: they are exact to the nanosecond for some weeks.

    Beside asyncio's timers there are actions: what is neither cancelled nor awaited, as the
    departure of a packet, costs an entry of a heap and no more.
    """

    def __init__(self) -> None:
        self._now = 0
        self._actions: list[tuple[int, int, Action]] = []  # a heap
        self._order = 0  # of actions of the same moment: first come, first served
        self._stirred = False  # some callback is ready to run
        super().__init__(_Clock(self))

    @property
    def now(self) -> int:
        """The time in nanoseconds."""
        return self._now

    def time(self) -> float:
        """Return the time in seconds."""
        return self._now / _NS

    def at(self, when: int, action: Action) -> None:
        """Call ``action`` with the time at ``when`` (nanoseconds), or now if that has passed."""
        self._order += 1
        heapq.heappush(self._actions, (when, self._order, action))

    def call_soon(
        self,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Call back in the loop's next round."""
        self._stirred = True
        return super().call_soon(callback, *args, context=context)

    def advance(self, timeout: float | None) -> None:
        """Let time pass until a callback is ready, or for ``timeout`` seconds at most.

        :raises SimulationError: nothing can happen any more, or too much happens at one moment.
        """
        if timeout is not None and timeout <= 0:
            return
        until = math.inf if timeout is None else self._now + math.ceil(timeout * _NS)
        actions = self._actions
        self._stirred = False
        left = _AT_ONCE
        while actions and actions[0][0] <= until:
            when, _, action = heapq.heappop(actions)
            if when > self._now:
                self._now = when
                left = _AT_ONCE
            action(self._now)
            if self._stirred:
                return
            left -= 1
            if not left:
                raise SimulationError(f"time stands still at {self.time():.9f} s")
        if timeout is None:
            raise SimulationError(
                f"at {self.time():.9f} s nothing can happen any more, yet something waits",
                hint="give what waits a time-out",
            )
        self._now = max(self._now, int(until))


class _Clock(selectors.SelectSelector):
    """Where an event loop waits for the world: here the world waits for it."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        self._loop.advance(timeout)
        return []
