"""Starting a holder, and watching one end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import testbed

_PACKAGES: Final = str(Path(testbed.__file__).parent.parent)


class Holder:
    """A process to watch, by pidfd: a number that cannot be reused under our feet."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)

    async def gone(self) -> None:
        """Wait until the process, and with it the PID namespace, has ended; call it once."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._pidfd, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._pidfd)
            os.close(self._pidfd)

    def kill(self) -> None:
        """Kill it the hard way."""
        signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def last_words(self) -> str | None:
        """What it wrote before it ended, if we can know."""
        return None


class Stem(Holder):
    """Our own child, which waits for the holder and ends after it."""

    def __init__(self, process: subprocess.Popen[bytes], log: int) -> None:
        super().__init__(process.pid)
        self._process = process
        self._log = log
        self._said: str | None = None
        self._gone = False

    async def gone(self) -> None:
        """Wait for the end and reap it."""
        await super().gone()
        self._reap()

    def end(self) -> None:
        """Kill it the hard way."""
        self.kill()
        os.close(self._pidfd)
        self._reap()

    def _reap(self) -> None:
        self._process.wait()
        self._said = self.last_words()
        os.close(self._log)
        self._gone = True

    def last_words(self) -> str | None:
        """The last line it wrote: after a crash, the exception."""
        if self._gone:
            return self._said
        lines = os.pread(self._log, 1 << 20, 0).decode(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), None)


def start(name: str) -> tuple[Stem, socket.socket]:
    """Start the holder of a sandbox; return it and the creator's connection.

    It dies with the thread that calls this.  What it writes goes to memory, never to a file.
    """
    ours, theirs = socket.socketpair()
    log = os.memfd_create("testbed-holder")
    path = os.pathsep.join(filter(None, (_PACKAGES, os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        [
            sys.executable,
            *("-m", "testbed.sandbox.holder", name, str(os.getpid()), str(theirs.fileno())),
        ],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=(theirs.fileno(),),
        cwd="/",
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
    theirs.close()
    return Stem(process, log), ours
