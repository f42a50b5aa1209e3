"""Time that costs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from testbed.errors import SimulationError
from testbed.sim.loop import VirtualLoop


def run(main: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def loop() -> VirtualLoop:
    running: Any = asyncio.get_running_loop()
    return running


def test_a_week_passes_at_once() -> None:
    async def main() -> float:
        await asyncio.sleep(7 * 86400)
        return loop().time()

    assert run(main()) == 7 * 86400


def test_timers_and_actions_happen_in_the_order_of_their_times() -> None:
    async def main() -> list[tuple[str, int]]:
        seen: list[tuple[str, int]] = []
        loop().agenda.at(3_000, lambda now: seen.append(("third", now)))
        loop().agenda.at(1_000, lambda now: seen.append(("first", now)))
        loop().agenda.at(1_000, lambda now: seen.append(("second", now)))
        loop().call_later(0.000002, lambda: seen.append(("timer", loop().agenda.now)))
        await asyncio.sleep(0.000004)
        return seen

    assert run(main()) == [("first", 1_000), ("second", 1_000), ("timer", 2_000), ("third", 3_000)]


def test_an_action_wakes_a_task_at_its_time() -> None:
    async def main() -> int:
        event = asyncio.Event()
        loop().agenda.at(5, lambda now: event.set())
        loop().agenda.at(6, lambda now: pytest.fail("too far"))
        await event.wait()
        return loop().agenda.now

    assert run(main()) == 5


def test_an_action_for_the_past_happens_now() -> None:
    async def main() -> list[int]:
        await asyncio.sleep(1)
        seen: list[int] = []
        loop().agenda.at(5, seen.append)
        await asyncio.sleep(1)
        return seen

    assert run(main()) == [10**9]


def test_a_wait_without_end_is_an_error() -> None:
    async def main() -> None:
        await asyncio.sleep(2)
        await asyncio.Event().wait()

    with pytest.raises(SimulationError, match=r"at 2\.0+ s no event is left"):
        run(main())


def test_time_that_stands_still_is_an_error() -> None:
    async def main() -> None:
        def again(now: int) -> None:
            loop().agenda.at(now, again)

        loop().agenda.at(0, again)
        await asyncio.sleep(1)

    with pytest.raises(SimulationError, match="does not advance beyond"):
        run(main())


def test_time_outs_are_virtual() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await asyncio.Event().wait()
        return loop().time()

    assert run(main()) == 3600
