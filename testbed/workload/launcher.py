"""The interface by which workloads start programs in nodes of any type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Exit(Protocol):
    """The exit of a program."""

    @property
    def returncode(self) -> int:
        """The exit status, or minus the number of the signal that ended the program."""

    @property
    def cpu_user_s(self) -> float:
        """User CPU time, seconds."""

    @property
    def cpu_system_s(self) -> float:
        """System CPU time, seconds."""


class Input(Protocol):
    """A program's standard input (an :class:`asyncio.StreamWriter` is one)."""

    def write(self, data: bytes) -> None:
        """Queue ``data``."""

    async def drain(self) -> None:
        """Wait until there is room for more data."""

    def close(self) -> None:
        """End the input."""


class Output(Protocol):
    """A program's output (an :class:`asyncio.StreamReader` is one)."""

    async def read(self, n: int) -> bytes:
        """Return at most ``n`` octets, or none at the end of the output."""


class Running(Protocol):
    """A started program."""

    @property
    def stdin(self) -> Input:
        """The standard input, unless it is empty."""

    @property
    def stdout(self) -> Output:
        """The standard output."""

    @property
    def stderr(self) -> Output:
        """The standard error."""

    async def wait(self) -> Exit:
        """Wait for the end of the program. It may be awaited more than once."""

    async def kill(self, signal: int) -> None:
        """Send ``signal``, unless the program has already ended."""


class Launcher(Protocol):
    """Starts programs."""

    async def spawn(self, node: str, argv: Sequence[str], *, empty_input: bool = False) -> Running:
        """Start ``argv`` in the network namespace of ``node`` with its three streams piped.

        :param empty_input: whether the standard input is /dev/null instead of a pipe.
        :raises TestbedError: the program cannot be started.
        """
