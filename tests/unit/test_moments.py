"""Exact moments: never early, and multiples are found."""

import asyncio
import time

from testbed import moments

MS = 1_000_000


def test_the_next_multiple_lies_ahead_by_more_than_asked_and_at_most_an_interval_more():
    before_ns = time.monotonic_ns()
    due_ns = moments.next_multiple(7 * MS, after_ns=100 * MS)
    assert due_ns % (7 * MS) == 0
    assert before_ns + 100 * MS < due_ns <= time.monotonic_ns() + 107 * MS


def test_waiting_does_not_end_early_and_lets_others_run():
    async def wait():
        due_ns = time.monotonic_ns() + 3 * MS
        others = []
        asyncio.get_running_loop().call_soon(others.append, "ran")
        await moments.until(due_ns)
        return due_ns, time.monotonic_ns(), others

    due_ns, now_ns, others = asyncio.run(wait())
    assert now_ns >= due_ns
    assert others == ["ran"]


def test_a_moment_that_has_passed_is_not_waited_for():
    asyncio.run(asyncio.wait_for(moments.until(time.monotonic_ns() - MS), 10))
