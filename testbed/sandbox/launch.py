"""The start of holders, and the wait for their end."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import testbed
import testbed.sandbox.protocol as protocol
from testbed.errors import SandboxError

_PACKAGES: Final = str(Path(testbed.__file__).parent.parent)


class Holder:
    """A process to watch by pidfd, which unlike a pid is never reused.

    :param pidfd: an open pidfd, which the object closes; by default it opens one.
    """

    def __init__(self, pid: int, pidfd: int | None = None) -> None:
        self.pid = pid
        self._pidfd = os.pidfd_open(pid) if pidfd is None else pidfd

    async def gone(self) -> None:
        """Wait until the process, and with it the PID namespace, has ended. Call this once."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._pidfd, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._pidfd)
            os.close(self._pidfd)

    def last_words(self) -> str | None:
        """Return the last output of the process, if it is known."""
        return None


class Stem(Holder):
    """The process that waits for a holder of this process and ends after it."""

    def __init__(self, pid: int, pidfd: int, birth: Birth) -> None:
        super().__init__(pid, pidfd)
        self._birth = birth

    async def gone(self) -> None:
        """Wait for the end and clean up."""
        await super().gone()
        self._birth.over()

    def last_words(self) -> str | None:
        """Return the last line that it wrote: after a crash, the exception."""
        return self._birth.last_words()


class Log:
    """The output of processes, in memory and never in a file."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("testbed-holder")
        self._last: str | None = None
        self._closed = False

    def last_line(self) -> str | None:
        """Return the last line that is not empty."""
        if self._closed:
            return self._last
        lines = os.pread(self.descriptor, 1 << 20, 0).decode(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), None)

    def close(self) -> None:
        """Free the output except its last line."""
        self._last = self.last_line()
        os.close(self.descriptor)
        self._closed = True


class Birth:
    """A holder whose start has been ordered.

    :param control: the creator's connection to the holder.
    :param alone: whether the nursery serves only this holder.
    """

    def __init__(self, control: socket.socket, log: Log, nursery: Nursery, *, alone: bool) -> None:
        self.control = control
        self.log = log
        self._nursery = nursery
        self._alone = alone

    def last_words(self) -> str | None:
        """Return the last line that the holder or else its nursery wrote."""
        return self.log.last_line() or self._nursery.log.last_line()

    def over(self) -> None:
        """Clean up after a holder that has ended or did not start."""
        if self._alone:
            self._nursery.end(at_once=True)
        else:
            self.log.close()


class Nursery:
    """A process that has imported a holder's modules, and forks a stem per order.

    The nursery and its stems end with the thread that creates the nursery.

    :param modules: our programs for nodes; the nursery imports them once for all of their
        processes.
    """

    def __init__(self, modules: Iterable[str] = ()) -> None:
        self.log = Log()
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = os.pathsep.join(filter(None, (_PACKAGES, os.environ.get("PYTHONPATH"))))
        arguments = (str(os.getpid()), str(theirs.fileno()), *modules)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "testbed.sandbox.holder", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=self.log.descriptor,
                stderr=self.log.descriptor,
                pass_fds=(theirs.fileno(),),
                cwd="/",
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,
            )

    def order(self, name: str, *, last: bool = False) -> Birth:
        """Order the start of a holder.

        :param last: whether this is the last order. Then the nursery becomes the stem of the
            holder.
        :raises SandboxError: the nursery has ended.
        """
        ours, theirs = socket.socketpair()
        birth = Birth(ours, self.log if last else Log(), self, alone=last)
        with theirs:
            order = protocol.encode(protocol.Order(name=name, last=last))
            try:
                socket.send_fds(self._orders, [order], [theirs.fileno(), birth.log.descriptor])
            except OSError as error:
                ours.close()
                birth.over()
                message = "the process that makes sandboxes has ended"
                raise SandboxError(message, hint=self.log.last_line()) from error
        return birth

    def end(self, *, at_once: bool = False) -> None:
        """End the process and with it all stems that it has forked.

        :param at_once: whether to kill the process instead of waiting for its end.
        """
        if at_once:
            self._process.kill()
        self._orders.close()
        self._process.wait()
        self.log.close()


def start(name: str) -> Birth:
    """Start a holder with a nursery of its own.

    :raises SandboxError: the nursery ended at once.
    """
    return Nursery().order(name, last=True)
