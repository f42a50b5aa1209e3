"""Concurrent tasks of one half."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any


@contextlib.asynccontextmanager
async def tasks() -> AsyncIterator[asyncio.TaskGroup]:
    """Provide a task group, and wait at the end until all its tasks have ended.

    When a task fails, the others are cancelled, and its error is raised by itself, not in an
    exception group.
    """
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def alongside(*ways: Coroutine[Any, Any, object]) -> None:
    """Run coroutines until all have ended. If one fails, cancel the others and raise its error."""
    async with tasks() as group:
        for way in ways:
            group.create_task(way)
