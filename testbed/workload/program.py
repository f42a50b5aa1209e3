"""A program in a node, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Sequence
from typing import Final

from testbed.errors import SandboxError, WorkloadError
from testbed.workload.launcher import Exit, Launcher, Output, Running

_READ: Final = 64 * 1024
_KEPT: Final = 64 * 1024  # the last octets of standard error that are kept
GRACE_S: Final = 1.0  # seconds from SIGTERM to SIGKILL


class Program:
    """A running program and the end of its standard error.

    :param name: its name in messages: ``server on host h2``.
    """

    def __init__(self, name: str, running: Running) -> None:
        self.name = name
        self.running = running
        self.exit: Exit | None = None  # set when the program has ended
        self._stderr = bytearray()
        self._draining = asyncio.ensure_future(self._drain())

    @property
    def stderr(self) -> str:
        """The last part of the program's standard error."""
        return self._stderr.decode(errors="replace")

    async def wait(self) -> Exit:
        """Wait until the program has ended and its standard error is closed."""
        self.exit = await self.running.wait()
        await self._draining
        return self.exit

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield the lines of the program's standard output, without the line ends."""
        async for line in lines(self.running.stdout):
            yield line

    async def died(self) -> WorkloadError:
        """Wait for the end of the program, and return an error that describes it."""
        exit_ = await self.wait()
        said = self.stderr.strip().splitlines()
        last = f": {said[-1]}" if said else ""
        return WorkloadError(f"{self.name} {ending(exit_)}{last}")

    async def stop(self) -> None:
        """Stop the program if it runs: SIGTERM, and SIGKILL after :data:`GRACE_S`."""
        with contextlib.suppress(SandboxError):  # the sandbox has ended, and the program with it
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
    """Start a program. It is stopped at the end of the context.

    :param empty_input: whether its standard input is /dev/null.
    """
    program = Program(name, await launcher.spawn(node, argv, empty_input=empty_input))
    try:
        yield program
    finally:
        await asyncio.shield(asyncio.ensure_future(program.stop()))


async def lines(output: Output) -> AsyncIterator[bytes]:
    """Yield the lines of an output. A line has no maximum length, and the last may lack its end."""
    rest = b""
    while data := await output.read(_READ):
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield line
    if rest:
        yield rest


def ending(exit_: Exit) -> str:
    """Return a text that describes the exit of a program."""
    if exit_.returncode >= 0:
        return f"ended with exit status {exit_.returncode}"
    return f"was killed by {signal.Signals(-exit_.returncode).name}"
