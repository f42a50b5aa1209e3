"""An asyncio event loop on a virtual clock.

When no task can run, time jumps to the next event. If there is none, the loop raises an error.
Files, sockets, threads and processes are not supported: their time is not virtual.
"""

from __future__ import annotations

import asyncio
import contextvars
import selectors
from collections.abc import Callable
from typing import Any, Final, TypeVarTuple

from testbed.errors import SimulationError
from testbed.sim.agenda import FOREVER, Agenda

_Ts = TypeVarTuple("_Ts")

_NS: Final = 1_000_000_000


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with virtual time, which starts at 0.

    The times of asyncio are floats, which are exact to the nanosecond for some weeks.

    :ivar agenda: the actions beside asyncio's timers and tasks.
    """

    def __init__(self) -> None:
        self.agenda = Agenda()
        super().__init__(_Clock(self))

    def time(self) -> float:
        """Return the time in seconds."""
        return self.agenda.now / _NS

    def call_soon(
        self,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Call a callback in the next iteration of the loop."""
        self.agenda.stir()
        return super().call_soon(callback, *args, context=context)

    def advance(self, timeout: float | None) -> None:
        """Advance until a callback is ready, or by at most ``timeout`` seconds.

        :raises SimulationError: no event is left, or too many happen at one moment.
        """
        if timeout is not None and timeout <= 0:
            return
        # A timer is due up to a nanosecond before its time: asyncio looks at clock_resolution.
        until = FOREVER if timeout is None else self.agenda.now + round(timeout * _NS)
        if not self.agenda.advance(until) and timeout is None:
            raise SimulationError(
                f"at {self.time():.9f} s no event is left, but a task still waits",
                hint="set a time-out for the wait",
            )


class _Clock(selectors.SelectSelector):
    """Replaces the selector of an event loop by the virtual clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        self._loop.advance(timeout)
        return []
