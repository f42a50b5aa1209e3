"""An asyncio event loop on a virtual clock.

When no task can go on, time jumps to what happens next.  A loop in which nothing can happen any
more says so.  Files, sockets, threads and processes have no place here: their time is not virtual.
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
    """An event loop whose ``time()`` is virtual and starts at 0.

    asyncio's times are floats: they are exact to the nanosecond for some weeks.

    :ivar agenda: what happens beside asyncio's timers and tasks.
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
        """Call back in the loop's next round."""
        self.agenda.stir()
        return super().call_soon(callback, *args, context=context)

    def advance(self, timeout: float | None) -> None:
        """Let time pass until a callback is ready, or for ``timeout`` seconds at most.

        :raises SimulationError: nothing can happen any more, or too much happens at one moment.
        """
        if timeout is not None and timeout <= 0:
            return
        # A timer is due up to a nanosecond before its time: asyncio looks at clock_resolution.
        until = FOREVER if timeout is None else self.agenda.now + round(timeout * _NS)
        if not self.agenda.advance(until) and timeout is None:
            raise SimulationError(
                f"at {self.time():.9f} s nothing can happen any more, yet something waits",
                hint="give what waits a time-out",
            )


class _Clock(selectors.SelectSelector):
    """Where an event loop waits for the world: here the world waits for it."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        self._loop.advance(timeout)
        return []
