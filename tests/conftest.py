"""What tests of several packages share."""

from __future__ import annotations

import asyncio
import functools
import os

import hypothesis
import pytest

from testbed.errors import PlatformError
from testbed.sandbox import Sandbox

# The same examples everywhere, however slow the machine is.
hypothesis.settings.register_profile(
    "deterministic",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("deterministic")


@functools.cache
def why_no_sandbox() -> str | None:
    """Why this machine cannot make a sandbox; None: it can."""

    async def attempt() -> None:
        async with await Sandbox.create():
            pass

    try:
        asyncio.run(attempt())
    except PlatformError as error:
        return str(error)
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine or this user cannot run, saying why."""
    if item.get_closest_marker("root") and os.geteuid() != 0:
        pytest.skip("needs root")
    if item.get_closest_marker("sandbox"):
        reason = why_no_sandbox()
        if reason is not None:
            pytest.skip(reason)
