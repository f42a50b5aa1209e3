"""The interface of stacks for workloads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from testbed.records import View

Scalar = str | int | float | bool | None
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
OnConnection = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a connection of this process at one time.

    :param t_ns: the time on CLOCK_MONOTONIC.
    :param view: the result of :meth:`Transport.inspect`.
    """

    t_ns: int
    local: str
    remote: str
    view: View


class Server(Protocol):
    """An open port."""

    def close(self) -> None:
        """Stop listening. Connections stay open."""


class Transport(Protocol):
    """A byte-stream transport, which also reports the options in use.

    Every method may raise PlatformError if this machine does not support it. No method falls back
    to another protocol. Methods have no time limits: callers cancel them.
    """

    async def connect(self, remote: tuple[str, int], data: bytes = b"") -> Streams:
        """Open a connection to an address and port. Raises OSError if it is refused.

        The reader is a :class:`testbed.streams.PieceReader`, as for accepted connections.

        :param data: the data to write at once. A stack with TCP Fast Open sends as much of it as
            possible with the SYN.
        """

    async def listen(self, on_connection: OnConnection, local: tuple[str, int]) -> Server:
        """Listen on an address and port."""

    def inspect(self, writer: asyncio.StreamWriter) -> dict[str, Any]:
        """Return the stack's own view of an open connection, in JSON types."""

    def used(self, writer: asyncio.StreamWriter) -> dict[str, Scalar]:
        """Return the actual options of an open connection, in the units of the options.

        The result has the congestion control and the requested options.
        """


class Stack(Transport, Protocol):
    """An implementation of a transport with its options, in this process."""

    @property
    def program_option(self) -> str | None:
        """The command line option with which programs that know this stack use it, or ``None``."""

    async def prepare(self) -> None:
        """Prepare the stack: do the slow work that is not part of a connection."""

    def command(self, argv: Sequence[str], report: Path) -> tuple[str, ...]:
        """Return the command line that makes a program use this stack.

        :param report: the file in which our own stacks report the program's connections
            (:mod:`testbed.workload.program_report`). The kernel reports on its own.
        """

    def connections(self) -> Sequence[Look]:
        """Return the states of the connections that no probe can see from outside."""

    def counters(self) -> Mapping[str, int]:
        """Return the stack's own counters, by the names of nstat(8), after :meth:`finish`.

        The result is empty for a kernel stack, whose counters are the kernel's.
        """

    async def finish(self) -> None:
        """Wait until no connection needs this process any more. All connections are closed."""


class StackKind(msgspec.Struct, frozen=True, kw_only=True):
    """A stack that experiments can choose.

    :param name: its name in experiments.
    :param protocol: its protocol, ``tcp`` or ``mptcp``. A run has to prove that it was used.
    :param in_kernel: whether it is a stack of the kernel, which then counts its events.
    :param summary: one line for ``testbed stacks``.
    :param options: the struct of its options. A field is ``None`` if the option was not given.
    :param make: makes a stack from such a struct.
    :param sysctls: returns its options as sysctls of the node, which are set before anything
        connects.
    :param of_node: the options that are only such a sysctl, and so affect every program.
    """

    name: str
    protocol: str
    in_kernel: bool
    summary: str
    options: type[msgspec.Struct]
    make: Callable[[Any], Stack]
    sysctls: Callable[[Any], Mapping[str, str]] = lambda _: {}
    of_node: frozenset[str] = frozenset()
