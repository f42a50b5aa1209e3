"""Running a program in a node on the user's own terminal (``testbed exec``, ``testbed shell``).

A program started by the holder could not have the terminal: a terminal belongs to one session,
and the holder is in another.  So the program is a child of ours that has entered the sandbox's
namespaces, as nsenter(1) does it: job control, Ctrl-C and the window's size need no forwarding.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from testbed.sandbox import syscalls

_NOT_FOUND: Final = 127  # as a shell answers
_NOT_EXECUTABLE: Final = 126


class Entrance(NamedTuple):
    """Descriptors of the namespaces a node's processes live in."""

    user: int
    mount: int
    pid: int
    network: int

    def close(self) -> None:
        """Close them."""
        for descriptor in self:
            os.close(descriptor)


def run(entrance: Entrance, argv: Sequence[str], *, environment: dict[str, str]) -> int:
    """Run a program in there in the foreground; return its exit status as a shell would give it.

    Closes ``entrance``.  The program is killed when we are, and when the sandbox ends.  Call it
    from the main thread with no other threads running: it forks.
    """
    creator = os.getpid()
    child = os.fork()
    if child == 0:
        _enter(entrance)
        _die_with(creator)  # only now: new credentials would make the kernel forget it
        _become(argv, environment)
    entrance.close()
    return _wait(child)


def _become(argv: Sequence[str], environment: dict[str, str]) -> NoReturn:
    """Fork once more, for only a child is in the PID namespace; stand by with its status."""
    lifeline, held = os.pipe()
    child = os.fork()
    if child != 0:
        os.close(lifeline)
        status = _wait(child)
        os.close(held)
        os._exit(status)
    os.close(held)
    syscalls.set_parent_death_signal(signal.SIGKILL)
    if select.select([lifeline], [], [], 0)[0]:
        os._exit(1)  # the parent ended before the signal was set; getppid() is 0 in any case
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(argv[0], list(argv), environment)  # noqa: S606 - no shell is the point
    except OSError as error:
        os.write(2, f"testbed: cannot run {argv[0]}: {error.strerror}\n".encode())
        os._exit(_NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE)


def _enter(entrance: Entrance) -> None:
    """Enter every namespace we are not in yet; the user namespace first, it owns the others."""
    folder = Path.cwd()
    if os.fstat(entrance.user).st_ino != Path("/proc/self/ns/user").stat().st_ino:
        syscalls.setns(entrance.user)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    for descriptor in (entrance.network, entrance.pid, entrance.mount):
        syscalls.setns(descriptor)
    os.chdir(folder)  # entering a mount namespace moves to its root


def _die_with(parent: int) -> None:
    syscalls.set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _wait(child: int) -> int:
    """Wait, leaving Ctrl-C to the child; return 128 + the signal that killed it, or its status."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        signal.signal(signal.SIGINT, previous)
    return code if code >= 0 else 128 - code
