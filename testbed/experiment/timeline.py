"""Plays the time line of a run, and records when each action really happened."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from testbed.errors import TestbedError
from testbed.experiment.events import Action
from testbed.results.model import EventRecord
from testbed.workload.transfer import now_ns, sleep_until

CarryOut = Callable[[int, Action], Awaitable[None]]


class Timeline:
    """The actions of one run, on the event loop's clock.

    :param carry_out: a function that carries out the action of an index.
    :param on_zero: a function that is called when the run starts.
    """

    def __init__(
        self,
        actions: Sequence[Action],
        carry_out: CarryOut,
        on_zero: Callable[[], object] = lambda: None,
    ) -> None:
        self._actions = actions
        self._carry_out = carry_out
        self._on_zero = on_zero
        self._zero: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.records: list[EventRecord] = []

    @property
    def zero_ns(self) -> int | None:
        """The start of the run in nanoseconds, if it is known."""
        return self._zero.result() if self._zero.done() else None

    @property
    def unplayed(self) -> Sequence[Action]:
        """The actions that are not due yet."""
        return self._actions[len(self.records) :]

    def begin(self, zero_ns: int) -> None:
        """Start the time line. ``zero_ns`` is the start of the run."""
        self._zero.set_result(zero_ns)
        self._on_zero()

    @contextlib.asynccontextmanager
    async def playing(self) -> AsyncIterator[None]:
        """Play until the context ends."""
        task = asyncio.create_task(self._play())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    async def _play(self) -> None:
        """Carry out every action at its time, even if others fail."""
        zero_ns = await asyncio.shield(self._zero)
        for index, action in enumerate(self._actions):
            await sleep_until(zero_ns + action.at_ns)
            started_ns = now_ns()
            error = None
            try:
                await self._carry_out(index, action)
            except TestbedError as failure:
                error = str(failure)
            self.records.append(
                EventRecord(
                    planned_ns=action.at_ns,
                    started_ns=started_ns - zero_ns,
                    finished_ns=now_ns() - zero_ns,
                    action=action.text,
                    error=error,
                )
            )
