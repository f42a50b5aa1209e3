"""A program that was launched in a node, watched until it ends."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Sequence
from typing import Final

from testbed.errors import SandboxError, WorkloadError
from testbed.workload.launcher import Exit, Launcher, Output, Running

_READ: Final = 64 * 1024
_KEPT: Final = 64 * 1024  # octets of standard error that are kept: the last ones
GRACE_S: Final = 1.0  # from SIGTERM to SIGKILL


class Program:
    """A running program and the end of its standard error.

    :param name: what to call it in messages: ``server on host h2``.
    """

    def __init__(self, name: str, running: Running) -> None:
        self.name = name
        self.running = running
        self.exit: Exit | None = None  # how it ended, once it has
        self._stderr = bytearray()
        self._draining = asyncio.ensure_future(self._drain())

    @property
    def stderr(self) -> str:
        """The last of its standard error."""
        return self._stderr.decode(errors="replace")

    async def wait(self) -> Exit:
        """Wait for its end and the end of its standard error."""
        self.exit = await self.running.wait()
        await self._draining
        return self.exit

    async def lines(self) -> AsyncIterator[bytes]:
        """Give its standard output line by line, without the line ends."""
        async for line in lines(self.running.stdout):
            yield line

    async def died(self) -> WorkloadError:
        """Return the error that says how it ended, once it has."""
        exit_ = await self.wait()
        said = self.stderr.strip().splitlines()
        last = f": {said[-1]}" if said else ""
        return WorkloadError(f"{self.name} {ending(exit_)}{last}")

    async def stop(self) -> None:
        """End it if it has not ended: SIGTERM, and SIGKILL after :data:`GRACE_S`."""
        with contextlib.suppress(SandboxError):  # that has ended, and the program with it
            await self.running.kill(signal.SIGTERM)
            try:
                async with asyncio.timeout(GRACE_S):
                    self.exit = await self.running.wait()
            except TimeoutError:
                await self.running.kill(signal.SIGKILL)
                self.exit = await self.running.wait()
        self._draining.cancel()

    async def _drain(self) -> None:
        while data := await self.running.stderr.read(_READ):
            self._stderr += data
            del self._stderr[:-_KEPT]


@contextlib.asynccontextmanager
async def launched(
    launcher: Launcher, node: str, argv: Sequence[str], name: str, *, empty_input: bool = False
) -> AsyncIterator[Program]:
    """Start a program; it has ended when the context has.

    :param empty_input: its standard input is /dev/null.
    """
    program = Program(name, await launcher.spawn(node, argv, empty_input=empty_input))
    try:
        yield program
    finally:
        await asyncio.shield(asyncio.ensure_future(program.stop()))


async def lines(output: Output) -> AsyncIterator[bytes]:
    """Give an output line by line, however long lines are; an unfinished last one too."""
    rest = b""
    while data := await output.read(_READ):
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield line
    if rest:
        yield rest


def ending(exit_: Exit) -> str:
    """Say how a program ended."""
    if exit_.returncode >= 0:
        return f"ended with exit status {exit_.returncode}"
    return f"was ended by {signal.Signals(-exit_.returncode).name}"
