"""The interface of stacks for workloads: an implementation of a byte-stream transport."""

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
    """A connection of this process, seen at one moment.

    :param t_ns: CLOCK_MONOTONIC.
    :param view: as from :meth:`Transport.inspect`.
    """

    t_ns: int
    local: str
    remote: str
    view: View


class Server(Protocol):
    """Something that listens."""

    def close(self) -> None:
        """Stop listening; connections stay."""


class Transport(Protocol):
    """Byte streams, and what is really used of what was asked for.

    Every method may raise PlatformError: this machine cannot do it.  None ever falls back to
    another protocol.  There are no time limits here: callers cancel.
    """

    async def connect(self, remote: tuple[str, int], data: bytes = b"") -> Streams:
        """Open a connection to an address and port; ``OSError`` when it is refused.

        The reader is a :class:`testbed.streams.PieceReader`, as that of an accepted connection is.

        :param data: is written at once.  A stack with TCP Fast Open sends it with the SYN, as far
            as that can be.
        """

    async def listen(self, on_connection: OnConnection, local: tuple[str, int]) -> Server:
        """Listen on an address and port."""

    def inspect(self, writer: asyncio.StreamWriter) -> dict[str, Any]:
        """Return the stack's own view of an open connection, as JSON can hold it."""

    def used(self, writer: asyncio.StreamWriter) -> dict[str, Scalar]:
        """Return the options that an open connection really has, in the units of the options.

        The congestion control is always among them, the others are those that were asked for.
        """


class Stack(Transport, Protocol):
    """An implementation of a byte-stream transport, with its options, in this process."""

    @property
    def program_option(self) -> str | None:
        """The option by which programs that know this stack are told to use it."""

    async def prepare(self) -> None:
        """Make ready: what takes time and is no part of a connection is done here."""

    def command(self, argv: Sequence[str], report: Path) -> tuple[str, ...]:
        """Return the command line that makes a program use this stack.

        :param report: where a stack of ours writes what the program's connections were
            (:mod:`testbed.workload.program_report`); of the kernel's, the kernel tells.
        """

    def connections(self) -> Sequence[Look]:
        """Return how the connections are that no probe can see from outside."""

    def counters(self) -> Mapping[str, int]:
        """Return what it has counted itself, by the names of nstat(8), once it has finished.

        The kernel's are counted by the kernel: of those there is nothing here.
        """

    async def finish(self) -> None:
        """Return when this process is needed for no connection any more; all are closed."""


class StackKind(msgspec.Struct, frozen=True, kw_only=True):
    """A stack as an experiment can choose it.

    :param name: the name experiments use.
    :param protocol: what it speaks, ``tcp`` or ``mptcp``: a run has to prove that.
    :param in_kernel: whether it is the kernel's, whose counters then tell what it does.
    :param summary: one line for ``testbed stacks``.
    :param options: the struct its options are decoded into; a field that is ``None`` was not given.
    :param make: makes a stack of such a struct.
    :param sysctls: what its options mean as sysctls of the node, set before anything connects.
    :param of_node: options that are such a sysctl and nothing else, and so reach every program.
    """

    name: str
    protocol: str
    in_kernel: bool
    summary: str
    options: type[msgspec.Struct]
    make: Callable[[Any], Stack]
    sysctls: Callable[[Any], Mapping[str, str]] = lambda _: {}
    of_node: frozenset[str] = frozenset()
