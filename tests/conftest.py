"""Fixtures that tests of several packages share."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from testbed import compiled
from testbed.errors import PlatformError
from testbed.sandbox import Sandbox
from tests import example

pytest_plugins = ["tests.lanes"]

# The same examples everywhere, however slow the machine is.
hypothesis.settings.register_profile(
    "deterministic",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("deterministic")

# These variables of the environment change the output of our commands.
for variable in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
    os.environ.pop(variable, None)

# Signals that the parent process may ignore, such as a shell for a background job, or nohup(1).
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP)


@pytest.fixture(autouse=True)
def default_signals() -> Iterator[None]:
    """Let programs that a test starts take signals as at a prompt."""
    with contextlib.ExitStack() as stack:
        for number in SIGNALS:
            if signal.getsignal(number) is signal.SIG_IGN:
                stack.callback(signal.signal, number, signal.SIG_IGN)
                default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
                signal.signal(number, default)
        yield


@pytest.fixture(scope="session")
def example_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the installed example of a package with plugins, beside our own packages."""
    return example.install(tmp_path_factory.mktemp("site"))


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
    """Skip what this machine or this user cannot run, saying why; so with compiled modules."""
    if item.get_closest_marker("interpreted") and compiled.status().build == compiled.COMPILED:
        pytest.skip("it replaces a part of the stack, which only interpreted code looks up")
    if item.get_closest_marker("root") and os.geteuid() != 0:
        pytest.skip("needs root")
    if item.get_closest_marker("sandbox"):
        reason = why_no_sandbox()
        if reason is not None:
            pytest.skip(reason)
