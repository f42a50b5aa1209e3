"""The clock of a driver on an event loop."""

from __future__ import annotations

import asyncio
from typing import Any

from testbed.host.clock import LoopClock


def test_a_callback_can_set_the_timer_again():
    """The handler of the event loop would get an exception that the clock raises."""
    faults: list[dict[str, Any]] = []
    calls: list[int] = []

    async def set_three_times() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: faults.append(context))
        clock, done = LoopClock(), asyncio.Event()

        def act(now: int) -> None:
            calls.append(now)
            if len(calls) < 3:
                clock.at(now, act)
            else:
                loop.call_soon(done.set)

        clock.at(clock.now(), act)
        await done.wait()
        clock.close()

    asyncio.run(set_three_times())
    assert len(calls) == 3
    assert not faults
