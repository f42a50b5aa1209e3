"""How a workload starts programs in nodes, without knowing what a node is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Exit(Protocol):
    """How a program ended."""

    @property
    def returncode(self) -> int:
        """The exit status; minus the number of the signal that ended it."""

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
        """Wait until there is room for more."""

    def close(self) -> None:
        """End the input."""


class Output(Protocol):
    """A program's output (an :class:`asyncio.StreamReader` is one)."""

    async def read(self, n: int) -> bytes:
        """Return at most ``n`` octets, none at the end."""


class Running(Protocol):
    """A program that was started."""

    @property
    def stdin(self) -> Input:
        """Its standard input, unless that is empty."""

    @property
    def stdout(self) -> Output:
        """Its standard output."""

    @property
    def stderr(self) -> Output:
        """Its standard error."""

    async def wait(self) -> Exit:
        """Wait for its end; may be awaited more than once."""

    async def kill(self, signal: int) -> None:
        """Send ``signal``; nothing happens when it has ended already."""


class Launcher(Protocol):
    """Starts programs."""

    async def spawn(self, node: str, argv: Sequence[str], *, empty_input: bool = False) -> Running:
        """Start ``argv`` in the network namespace of ``node`` with its three streams piped.

        :param empty_input: its standard input is /dev/null instead of a pipe.
        :raises TestbedError: it cannot be started.
        """
