"""Do several things of one half at the same time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any


@contextlib.asynccontextmanager
async def tasks() -> AsyncIterator[asyncio.TaskGroup]:
    """Wait in the end until all tasks of the group have ended.

    When one fails, the others are stopped, and its error is raised by itself, not in a group.
    """
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def alongside(*ways: Coroutine[Any, Any, object]) -> None:
    """Wait until all have ended.  When one fails, the others are stopped, and its error raised."""
    async with tasks() as group:
        for way in ways:
            group.create_task(way)
