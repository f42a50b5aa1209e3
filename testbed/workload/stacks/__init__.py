"""The stacks a workload can run on.  Each module here defines one as ``STACK``.

A stack gives byte streams.  Adding one is adding one module: its name is found by listing this
package, and only the one that is asked for is imported.  What stacks share is in modules whose
name starts with an underscore.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from testbed.errors import InputError
from testbed.records import View

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
OnConnection = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """A connection of this process, seen at one moment.

    :param t_ns: CLOCK_MONOTONIC.
    :param view: as from :meth:`Stack.inspect`.
    """

    t_ns: int
    local: str
    remote: str
    view: View


class Server(Protocol):
    """Something that listens."""

    def close(self) -> None:
        """Stop listening; connections stay."""


class Stack(Protocol):
    """An implementation of a byte-stream transport.

    Every method may raise PlatformError: this machine cannot do it.  None ever falls back to
    another protocol.  There are no time limits here: callers cancel.
    """

    @property
    def name(self) -> str:
        """The name experiments use."""

    @property
    def protocol(self) -> str:
        """What it speaks, ``tcp`` or ``mptcp``: a run has to prove that (experiment/proof.py)."""

    @property
    def in_kernel(self) -> bool:
        """Whether it is the kernel's, whose counters then tell what it does."""

    @property
    def program_option(self) -> str | None:
        """The option by which programs that know this stack are told to use it."""

    async def prepare(self) -> None:
        """Make ready: what takes time and is no part of a connection is done here."""

    async def connect(self, remote: tuple[str, int]) -> Streams:
        """Open a connection to an address and port; ``OSError`` when it is refused."""

    async def listen(self, on_connection: OnConnection, local: tuple[str, int]) -> Server:
        """Listen on an address and port."""

    def command(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Return the command line that makes a program use this stack."""

    def inspect(self, writer: asyncio.StreamWriter) -> dict[str, Any]:
        """Return the stack's own view of an open connection, as JSON can hold it."""

    def connections(self) -> Sequence[Look]:
        """Return how the connections are that no probe can see from outside."""

    async def finish(self) -> None:
        """Return when this process is needed for no connection any more; all are closed."""


def names() -> tuple[str, ...]:
    """Return the names of all stacks."""
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name.replace("_", "-") for name in modules if not name.startswith("_")))


def stack(name: str) -> Stack:
    """Return the stack of that name.

    :raises InputError: there is none.
    """
    if name not in names():
        raise InputError(f"unknown stack {name!r}", hint=f"there are: {', '.join(names())}")
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    found: Stack = module.STACK
    return found


def ends(name: str) -> tuple[Stack, Stack]:
    """Return the stacks of source and target: of ``SOURCE/TARGET``, or twice the same.

    :raises InputError: there is no such stack.
    """
    source, slash, target = name.partition("/")
    return stack(source), stack(target if slash else source)


def pairs() -> tuple[str, ...]:
    """Return ``SOURCE/TARGET`` for all different stacks that speak the same protocol."""
    found = itertools.permutations(names(), 2)
    return tuple(
        f"{source}/{target}"
        for source, target in found
        if stack(source).protocol == stack(target).protocol
    )
