"""The common part of the workloads that run external programs."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Final

from testbed.errors import WorkloadError
from testbed.workload.launcher import Exit, Launcher
from testbed.workload.program import Program, ending, launched
from testbed.workload.result import OnProgress, Progress

PROGRESS_S: Final = 0.2
OUTPUT_LIMIT: Final = 16 * 1024 * 1024  # octets of standard output that are kept


class Capture:
    """The standard output of a program. Octets above the limit are read but not kept.

    :param wanted: a regular expression. :attr:`found` is set after a line of the output matches.
    """

    def __init__(self, program: Program, wanted: str | None = None) -> None:
        self.program = program
        self.found = asyncio.Event()
        self._wanted = None if wanted is None else re.compile(wanted)
        self._kept = bytearray()
        self._reading = asyncio.ensure_future(self._read())

    @property
    def text(self) -> str:
        """The output of the program so far."""
        return self._kept.decode(errors="replace")

    async def ended(self) -> Exit:
        """Wait until the program has ended and all its output has been read."""
        exit_ = await self.program.wait()
        await self._reading
        return exit_

    def close(self) -> None:
        """Stop reading."""
        self._reading.cancel()

    async def _read(self) -> None:
        async for line in self.program.lines():
            if len(self._kept) < OUTPUT_LIMIT:
                self._kept += line + b"\n"
            if self._wanted is not None and self._wanted.search(line.decode(errors="replace")):
                self.found.set()


@contextlib.asynccontextmanager
async def captured(
    launcher: Launcher, node: str, argv: tuple[str, ...], *, wanted: str | None = None
) -> AsyncIterator[Capture]:
    """Start a program with empty input and capture its output; the context ends the program."""
    name = f"`{' '.join(argv)}` on {node}"
    async with launched(launcher, node, argv, name, empty_input=True) as program:
        capture = Capture(program, wanted)
        try:
            yield capture
        finally:
            capture.close()


async def until_listening(launcher: Launcher, capture: Capture, node: str, port: int) -> None:
    """Wait until a program listens on ``port`` of ``node``.

    :raises WorkloadError: the program of ``capture`` ended without listening.
    """
    argv = (sys.executable, "-m", "testbed.workload.listening", str(port))
    async with launched(
        launcher, node, argv, f"the watch on port {port}", empty_input=True
    ) as watch:
        await before_end(capture, watch.wait(), f"listening on port {port}")


async def before_end(capture: Capture, event: Awaitable[object], what: str) -> None:
    """Wait for an event that must happen before a program ends."""
    waiting = asyncio.ensure_future(event)
    ended = asyncio.ensure_future(capture.ended())
    try:
        await asyncio.wait((waiting, ended), return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise WorkloadError(f"{complaint(capture, ended.result())} before {what}")
        await waiting
    finally:
        waiting.cancel()
        ended.cancel()


def complaint(capture: Capture, exit_: Exit) -> str:
    """Return a text with the exit of a program and its last message."""
    said = (capture.program.stderr.strip() or capture.text.strip()).splitlines()
    last = f" saying {said[-1]!r}" if said else ""
    return f"{capture.program.name} {ending(exit_)}{last}"


@contextlib.contextmanager
def progress_of_time(on_progress: OnProgress, total_s: float | None) -> Iterator[int]:
    """Report the elapsed seconds at intervals; yield the start time in nanoseconds."""
    started_ns = time.monotonic_ns()

    def tell() -> None:
        now_ns = time.monotonic_ns()
        passed_s = (now_ns - started_ns) / 1e9
        done_s = passed_s if total_s is None else min(passed_s, total_s)
        progress = Progress(
            started_ns=started_ns, now_ns=now_ns, done=done_s, total=total_s, unit="s"
        )
        on_progress(progress)

    async def keep_telling() -> None:
        while True:
            tell()
            await asyncio.sleep(PROGRESS_S)

    telling = asyncio.ensure_future(keep_telling())
    try:
        yield started_ns
    finally:
        telling.cancel()
