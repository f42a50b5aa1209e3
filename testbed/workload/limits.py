"""The end of a half before it has finished: an error that says what the half was waiting for."""

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
    """Run a half; whatever stops it is a WorkloadError that says what it was waiting for.

    :param limit_ns: from now, or from when ``begun`` is done.
    """
    timer = asyncio.timeout(limit_ns / 1e9 if begun is None else None)
    if begun is not None:
        loop = asyncio.get_running_loop()
        begun.add_done_callback(lambda _: timer.reschedule(loop.time() + limit_ns / 1e9))
    try:
        async with timer:
            return await half
    except OSError as error:
        if timer.expired():  # else a TimeoutError is the network's: ETIMEDOUT
            raise WorkloadError(
                f"the {activity.role} was still waiting for {activity.waiting_for} "
                f"when its {limit_ns / 1e9:g} s were over"
            ) from None
        raise WorkloadError(
            f"the {activity.role} was waiting for {activity.waiting_for}: {error}"
        ) from error


async def stoppable(half: Coroutine[Any, Any, T], activity: Activity) -> T:
    """Run a half; when it is cancelled, that is a WorkloadError that says what it waited for."""
    try:
        return await half
    except asyncio.CancelledError:
        raise WorkloadError(
            f"the {activity.role} was waiting for {activity.waiting_for} when it was stopped"
        ) from None
