"""Watching a guest: its program's output, what its first process says, and its end."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from testbed.errors import MachineError
from testbed.machine import guest

HANG_S: Final = 60.0  # without a word from the first process
GRACE_S: Final = 10.0  # from the program's end to the machine's
_LINES: Final = 5  # of the console, in an error


class Supervision:
    """A machine that runs: a process of this host, and the pipes that lead into it.

    :param name: of the machine.
    :param process: it; killed with its whole session.
    :param console: the file of what its kernel says.
    :param status: where the lines of :mod:`testbed.machine.guest` come from.
    :param relays: descriptor -> what takes the octets that come from there.
    :param interrupt: writes a line to this descriptor to interrupt the program.
    """

    def __init__(
        self,
        name: str,
        process: subprocess.Popen[bytes],
        console: Path,
        *,
        status: int,
        relays: dict[int, Callable[[bytes], object]],
        interrupt: int,
    ) -> None:
        self._name = name
        self._process = process
        self._console = console
        self._interrupt = interrupt
        self._selector = selectors.DefaultSelector()
        self._relays = {**relays, status: self._hear}
        for fd in self._relays:
            self._selector.register(fd, selectors.EVENT_READ)
        self._partial = b""
        self._heard_at = time.monotonic()
        self._exit: int | None = None
        self._full = False

    def wait(self, limit_s: float | None) -> int:
        """Return the program's exit status, once the machine is gone.

        :raises MachineError: there is none, or nothing the program wrote can be relied on.
        """
        try:
            self._watch(None if limit_s is None else time.monotonic() + limit_s, limit_s)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._selector.close()
        if self._full:
            raise self._error("its file system in memory is full")
        if self._exit is None:
            raise self._error("it ended before the program did")
        return self._exit

    def _watch(self, deadline: float | None, limit_s: float | None) -> None:
        """Relay until the machine has closed all its descriptors."""
        interrupted = False
        while self._relays:
            try:
                for key, _ in self._selector.select(1.0):
                    self._read(key.fd)
            except KeyboardInterrupt:
                if interrupted:
                    raise
                interrupted = True
                os.write(self._interrupt, b"\n")
            now = time.monotonic()
            silent_s = now - self._heard_at
            if self._exit is not None and silent_s > GRACE_S:
                return  # something that the program left behind keeps it
            if self._exit is None and deadline is not None and now > deadline:
                raise self._error(f"its {limit_s:g} s are over")
            if self._exit is None and silent_s > HANG_S:
                raise self._error(f"it hangs: nothing was heard of it for {HANG_S:g} s")

    def _read(self, fd: int) -> None:
        data = os.read(fd, 1 << 16)
        if data:
            self._relays[fd](data)
        else:
            self._selector.unregister(fd)
            del self._relays[fd]

    def _hear(self, data: bytes) -> None:
        """Take lines from the guest's first process."""
        self._heard_at = time.monotonic()
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            match line.decode(errors="replace").split():
                case [guest.EXIT, code]:
                    self._exit = int(code)
                case [guest.FULL]:
                    self._full = True

    def _error(self, what: str) -> MachineError:
        said = self._console.read_text(errors="replace").splitlines() if self._console else []
        last = " | ".join(line.strip() for line in said[-_LINES:] if line.strip())
        return MachineError(
            f"{self._name}: {what}; its console's last lines: {last or 'none'}",
            hint=f"all of it is in {self._console}",
        )
