"""Reading and writing of any kind of descriptor without blocking the event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

_READ: Final = 64 * 1024  # octets of one read
_ATOMIC: Final = (
    4096  # a pipe that polls writable takes this many octets at once (pipe(7), PIPE_BUF)
)


async def read_some(fd: int) -> bytes:
    """Read some octets; ``b""`` at the end. The mode of a terminal is not changed."""
    loop = asyncio.get_running_loop()
    await _ready(fd, loop.add_reader, loop.remove_reader)
    return os.read(fd, _READ)


async def write_all(fd: int, data: bytes) -> None:
    """Write all octets.

    :raises OSError: an error of write(2); ``BrokenPipeError`` if the reader has closed a pipe.
    """
    loop = asyncio.get_running_loop()
    view = memoryview(data)
    while view:
        waits = await _ready(fd, loop.add_writer, loop.remove_writer)
        view = view[os.write(fd, view[:_ATOMIC] if waits else view) :]


def end(fd: int) -> None:
    """Close an output: the reader of a pipe gets the end, and later writes are dropped."""
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.dup2(nowhere, fd)
    finally:
        os.close(nowhere)


def in_foreground(terminal: int) -> bool:
    """Return whether this process may read a terminal.

    The kernel stops a background process that reads the controlling terminal of its session. If the
    foreground process group is outside this PID namespace, its number here is 0, and this process
    is in the background: a foreground process that enters the namespace has its own group.
    """
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp() != 0
    except OSError:  # not the controlling terminal: any process may read it
        return True


async def _ready(fd: int, watch: Callable[..., object], forget: Callable[[int], object]) -> bool:
    """Wait for a descriptor; return ``False`` for one that is always ready, such as a file."""
    event = asyncio.Event()
    try:
        watch(fd, event.set)
    except PermissionError:  # epoll does not support this file
        await asyncio.sleep(0)
        return False
    try:
        await event.wait()
    finally:
        forget(fd)
    return True
