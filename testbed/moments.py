"""Exact timers on CLOCK_MONOTONIC: the timers of an event loop are up to 1 ms late."""

from __future__ import annotations

import asyncio
import contextlib
import select
import time
from typing import Final

from testbed.libc import Timer

_RESOLUTION_NS: Final = 256  # the resolution of the virtual clock; a read of it takes as long
_STEP_NS: Final = 100 * _RESOLUTION_NS
_SETTLING_NS: Final = 9_000_000  # starts after a tick of 10 ms and ends before the next one


def next_multiple(interval_ns: int, *, after_ns: int = 0) -> int:
    """Return the first multiple of an interval that is more than ``after_ns`` from now."""
    return ((time.monotonic_ns() + after_ns) // interval_ns + 1) * interval_ns


async def until(due_ns: int) -> None:
    """Wait until a time, with no delay but that of the wake-up."""
    loop = asyncio.get_running_loop()
    due = asyncio.Event()
    timer = Timer()
    loop.add_reader(timer, due.set)
    timer.set(due_ns)
    try:
        await due.wait()
    finally:
        loop.remove_reader(timer)
        timer.close()


async def until_settled(due_ns: int) -> None:
    """In virtual time, wait until a time at which the hidden part of the clock is zero.

    The kernel counts virtual time in nanoseconds and reports it in units of 256 ns. Every timer is
    1 ns late (arch/um/kernel/time.c). So the hidden part counts all expired timers, and decides in
    which unit later timers expire. This function runs timers of whole units just before ``due_ns``
    until the hidden part overflows.

    :param due_ns: a multiple of 10 ms, so that no other timer expires in between.
    """
    start_ns = due_ns - _SETTLING_NS
    await until(start_ns)
    moment_ns = start_ns - start_ns % _RESOLUTION_NS
    with contextlib.closing(Timer()) as timer:
        least_ns = late_ns = _STEP_NS
        while late_ns <= least_ns:
            least_ns = late_ns
            moment_ns += _STEP_NS
            timer.set(moment_ns)
            select.select([timer], [], [])
            late_ns = time.monotonic_ns() - moment_ns
    await until(due_ns)
