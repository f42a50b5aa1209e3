"""Do several things of one half at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def alongside(*ways: Coroutine[Any, Any, object]) -> None:
    """Wait until all have ended.  When one fails, the others are stopped, and its error raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for way in ways:
                group.create_task(way)
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
