"""The clock of a driver: CLOCK_MONOTONIC and an event loop."""

from __future__ import annotations

import asyncio
import time

from testbed.driver.loop import Action
from testbed.libc import Timer


class LoopClock:
    """Calls callbacks from the running event loop. Timers have the resolution of a timerfd."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer = Timer()
        self._due: Action | None = None
        self._loop.add_reader(self._timer, self._expired)

    def close(self) -> None:
        """Cancel all calls."""
        self._loop.remove_reader(self._timer)
        self._timer.close()

    def now(self) -> int:
        """Return CLOCK_MONOTONIC in nanoseconds."""
        return time.monotonic_ns()

    def soon(self, action: Action) -> None:
        """Call ``action`` with the time after the caller returns."""
        self._loop.call_soon(self._call, action)

    def at(self, when: int, action: Action) -> None:
        """Call ``action`` with the time at ``when``, instead of an earlier request."""
        self._due = action
        self._timer.set(when)

    def _call(self, action: Action) -> None:
        action(time.monotonic_ns())

    def _expired(self) -> None:
        due, self._due = self._due, None
        self._timer.set(None)
        if due is not None:
            due(time.monotonic_ns())
