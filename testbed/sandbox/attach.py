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

import testbed.sandbox.syscalls as syscalls

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
    terminal = _has_terminal()
    child = os.fork()
    if child == 0:
        _enter(entrance)
        _die_with(creator)  # only now: new credentials would make the kernel forget it
        _stand_by(argv, environment, terminal=terminal)
    entrance.close()
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return _wait(child)
    finally:
        signal.signal(signal.SIGINT, previous)


def _has_terminal() -> bool:
    """Whether we are in the foreground of the terminal on our standard input."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:  # no terminal, or one that is not our session's
        return False


def _stand_by(argv: Sequence[str], environment: dict[str, str], *, terminal: bool) -> NoReturn:
    """Fork once more, for only a child is in the PID namespace; end with its status."""
    lifeline, held = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(held)
        _become(argv, environment, lifeline, terminal=terminal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.close(lifeline)
    status = _wait(child, terminal=terminal)
    os.close(held)
    os._exit(status)


def _become(
    argv: Sequence[str], environment: dict[str, str], lifeline: int, *, terminal: bool
) -> NoReturn:
    """Turn into the program, in a process group of its own that has the terminal.

    A shell that started in a group from outside its PID namespace could not give the terminal back.
    """
    syscalls.set_parent_death_signal(signal.SIGKILL)
    if select.select([lifeline], [], [], 0)[0]:
        os._exit(1)  # the parent ended before the signal was set; getppid() is 0 in any case
    if terminal:
        os.setpgid(0, 0)
        _give_terminal(os.getpid())
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


def _give_terminal(group: int) -> None:
    """Put a process group in the foreground, also from the background."""
    previous = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(0, group)
    signal.signal(signal.SIGTTOU, previous)


def _wait(child: int, *, terminal: bool = False) -> int:
    """Return 128 + the signal that killed the child, or its status; stop while it is stopped.

    :param terminal: the child has it: take it back whenever the child stops or ends.
    """
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        if terminal:
            _give_terminal(os.getpgrp())
        if not os.WIFSTOPPED(status):
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        os.kill(os.getpid(), signal.SIGSTOP)  # Ctrl-Z is for all of us; "fg" continues here
        if terminal:
            _give_terminal(child)
            os.killpg(child, signal.SIGCONT)
