"""Halves that end early: the error names the event that the half was waiting for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from testbed.errors import WorkloadError
from testbed.workload.transfer import Activity

T = TypeVar("T")


async def limited(
    half: Coroutine[Any, Any, T],
    activity: Activity,
    limit_ns: int,
    begun: asyncio.Future[int] | None = None,
) -> T:
    """Run a half; an error or a timeout becomes a WorkloadError that names the awaited event.

    :param limit_ns: the time limit, from now or from when ``begun`` is done.
    """
    timer = asyncio.timeout(limit_ns / 1e9 if begun is None else None)
    if begun is not None:
        loop = asyncio.get_running_loop()
        begun.add_done_callback(lambda _: timer.reschedule(loop.time() + limit_ns / 1e9))
    try:
        async with timer:
            return await half
    except OSError as error:
        if timer.expired():  # otherwise the network timed out: ETIMEDOUT
            raise WorkloadError(
                f"the {activity.role} timed out after {limit_ns / 1e9:g} s "
                f"while waiting for {activity.waiting_for}"
            ) from None
        raise WorkloadError(
            f"the {activity.role} failed while waiting for {activity.waiting_for}: {error}"
        ) from error


async def stoppable(half: Coroutine[Any, Any, T], activity: Activity) -> T:
    """Run a half; a cancellation becomes a WorkloadError that names the awaited event."""
    try:
        return await half
    except asyncio.CancelledError:
        raise WorkloadError(
            f"the {activity.role} was stopped while waiting for {activity.waiting_for}"
        ) from None
