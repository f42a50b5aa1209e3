"""The host's side of a guest: its output, its status lines, Ctrl-C and time limits."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final

from testbed.errors import MachineError
from testbed.machine import guest
from testbed.machine.guest.patience import Patience

BOOT_S: Final = 120  # limit of the boot until the program starts
SILENCE_S: Final = 120  # limit between signs of life; the guest sends one every BEAT_S
INTERRUPTED: Final = 130
_TURN_S: Final = 1.0
_CHUNK: Final = 1 << 16
_KILLED: Final = 137  # 128 + SIGKILL


class Interrupts:
    """While entered, counts Ctrl-C and passes it on, so that it does not end this process.

    The second Ctrl-C raises KeyboardInterrupt as usual.
    """

    def __init__(self, hand_on: Callable[[], None]) -> None:
        self._hand_on = hand_on
        self.count = 0

    def __enter__(self) -> Interrupts:
        self._previous = signal.signal(signal.SIGINT, self._receive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGINT, self._previous)

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1:
            raise KeyboardInterrupt
        self._hand_on()


@contextlib.contextmanager
def restored_terminal() -> Iterator[None]:
    """Restore the terminal's settings on exit: a killed guest leaves the terminal raw."""
    if not sys.stdin.isatty():
        yield
        return
    settings = termios.tcgetattr(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, settings)


class Watch:
    """Follows a guest from its start to its end.

    :param name: the name of the machine for error messages.
    :param status: a descriptor with the guest's status lines, which ends when the guest does.
    :param outputs: descriptors to read from, each with the descriptor to copy its data to.
    :param console: the file of the kernel's messages.
    :param spent: a function that returns the guest's CPU time in seconds.
    :param on_up: called when the program starts.
    """

    def __init__(
        self,
        name: str,
        *,
        status: int,
        outputs: Mapping[int, int],
        console: Path,
        limit_s: float | None,
        spent: Callable[[], float],
        on_up: Callable[[], object] = lambda: None,
    ) -> None:
        self._on_up = on_up
        self._name = name
        self._status = status
        self._outputs = dict(outputs)
        self._console = console
        self._limit_s = limit_s
        self._rest = b""
        self._up = False
        self._full = False
        self._exit: int | None = None
        self._boot = Patience(BOOT_S, spent)
        self._silence = Patience(SILENCE_S, spent)

    def follow(self) -> int:
        """Wait for the end of the guest, and return the program's exit status.

        :raises MachineError: the guest ended without an exit status, hangs, or exceeds the limit.
        """
        started = time.monotonic()
        quiet = 0  # turns of the loop, not seconds: this process may have been stopped
        open_ = {self._status, *self._outputs}
        while open_:
            ready, _, _ = select.select(list(open_), [], [], _TURN_S)
            quiet = 0 if self._status in ready else quiet + (not ready)
            if quiet == 1 and not ready:
                self._silence.begin()
            for descriptor in ready:
                if not self._take(descriptor):
                    open_.remove(descriptor)
            self._check_time(time.monotonic() - started, quiet * _TURN_S)
        return self._conclusion()

    def _take(self, descriptor: int) -> bool:
        """Read the available data; return whether there may be more."""
        try:
            octets = os.read(descriptor, _CHUNK)
        except ConnectionResetError:
            octets = b""
        if descriptor in self._outputs:
            _write(self._outputs[descriptor], octets)
        else:
            *lines, self._rest = (self._rest + octets).split(b"\n")
            for line in lines:
                self._hear(line.decode(errors="replace").split())
        return bool(octets)

    def _hear(self, words: list[str]) -> None:
        match words:
            case [guest.UP]:
                self._up = True
                self._on_up()
            case [guest.FULL]:
                self._full = True
            case [guest.EXIT, status]:
                self._exit = int(status)

    def _check_time(self, passed_s: float, quiet_s: float) -> None:
        if self._limit_s is not None and passed_s > self._limit_s:
            raise self._failed(f"was stopped at the limit of {self._limit_s:g} s")
        if self._exit is None and not self._up and self._boot.is_over(passed_s):
            raise self._failed(f"did not start a program within {passed_s:.0f} s")
        if self._exit is None and self._up and self._silence.is_over(quiet_s):
            raise self._failed(f"hangs: no sign of life for {quiet_s:.0f} s")

    def _conclusion(self) -> int:
        if self._exit is None:
            raise self._failed("ended before its program did" if self._up else "did not start")
        if self._exit and self._full:
            raise self._failed("has no memory left: files outside the shares are in its memory")
        if self._exit == _KILLED:
            raise self._failed("killed its program, probably because it had no memory left")
        return self._exit

    def _failed(self, what: str) -> MachineError:
        last = last_line(self._console)
        said = f'; its console ends with "{last}"' if last else ""
        return MachineError(f"the machine {self._name} {what}{said}")


def last_line(console: Path) -> str | None:
    """Return the last line that is not empty; after a panic, the line with its reason."""
    try:
        text = console.read_text(errors="replace")
    except OSError:
        return None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    panics = [line for line in lines if "Kernel panic" in line or "testbed:" in line]
    return next(iter(panics or reversed(lines)), None)


def _write(descriptor: int, octets: bytes) -> None:
    while octets:
        octets = octets[os.write(descriptor, octets) :]
