"""The client of the sampler process: starts and stops it, and receives its summary."""

from __future__ import annotations

import asyncio
import sys
from typing import Final, Protocol, TypeVar

import msgspec

from testbed.errors import SandboxError
from testbed.probe.job import Job
from testbed.probe.messages import AnyMessage, Failed, Ready, Stopped, Summary

__all__ = ["Job", "Sampler", "Summary", "command"]

M = TypeVar("M", Ready, Stopped)

LIMIT_S: Final = 30.0  # limit for its start and for its stop


class Input(Protocol):
    """The interface of a standard input, for example of an :class:`asyncio.StreamWriter`."""

    def write(self, data: bytes) -> None:
        """Queue ``data``."""

    def close(self) -> None:
        """End the input."""


class Process(Protocol):
    """The process of a sampler. Its standard input and output are pipes."""

    @property
    def stdin(self) -> Input:
        """The standard input of the process."""

    @property
    def stdout(self) -> asyncio.StreamReader:
        """The standard output of the process."""


def command(records_fd: int) -> tuple[str, ...]:
    """Return the command line of a sampler that writes records to an inherited descriptor."""
    return (sys.executable, "-m", "testbed.probe.sampler", "--records", str(records_fd))


class Sampler:
    """A running sampler. Its records are complete after :meth:`stop` has returned."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, process: Process, job: Job) -> Sampler:
        """Send the job to the process; return after every probe has taken its first sample.

        :raises PlatformError: a probe cannot work here.
        :raises SandboxError: the process failed.
        """
        process.stdin.write(msgspec.json.encode(job) + b"\n")
        sampler = cls(process)
        await sampler._expect(Ready)
        return sampler

    async def stop(self) -> Summary:
        """Take a last sample, write all records and end.

        :raises SandboxError: a probe or the writing of records failed while it ran.
        """
        self._process.stdin.close()
        return (await self._expect(Stopped)).summary

    async def _expect(self, kind: type[M]) -> M:
        try:
            async with asyncio.timeout(LIMIT_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise SandboxError(f"the sampler did not answer within {LIMIT_S:g} s") from None
        if not line:
            raise SandboxError("the sampler ended without a message")
        message: AnyMessage = msgspec.json.decode(line, type=AnyMessage)
        if isinstance(message, Failed):
            raise message.failure.error()
        if not isinstance(message, kind):
            raise SandboxError(f"the sampler sent an unexpected message: {message}")
        return message
