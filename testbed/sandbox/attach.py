"""Programs in a node on the user's own terminal (``testbed exec``, ``testbed shell``).

A program that the holder starts cannot use the terminal, because a terminal belongs to one session
and the holder is in another. So the program is a child of this process that enters the sandbox's
namespaces, like nsenter(1). Job control, Ctrl-C and the window size need no forwarding.
"""

from __future__ import annotations

import os
import select
import signal
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

import testbed.sandbox.syscalls as syscalls

_NOT_FOUND: Final = 127  # the exit status that a shell returns
_NOT_EXECUTABLE: Final = 126
_HELD: Final = (signal.SIGINT,)  # held back while this module forks


class _Program(NamedTuple):
    """What is run.

    :ivar terminal: whether it gets the terminal.
    :ivar mask: its blocked signals.
    """

    argv: Sequence[str]
    environment: dict[str, str]
    terminal: bool
    mask: set[signal.Signals | int]


class Entrance(NamedTuple):
    """The descriptors of the namespaces of a node's processes."""

    user: int
    mount: int
    pid: int
    network: int

    def close(self) -> None:
        """Close the descriptors."""
        for descriptor in self:
            os.close(descriptor)


def run(entrance: Entrance, argv: Sequence[str], *, environment: dict[str, str]) -> int:
    """Run a program in a node in the foreground; return its exit status as a shell does.

    Closes ``entrance``. The program is killed when this process is killed, and when the sandbox
    ends. Because the function forks, call it from the main thread while no other thread runs.
    """
    creator = os.getpid()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)  # a fork has no place for an exception
    program = _Program(argv, environment, _has_terminal(), mask)
    child = os.fork()
    if child == 0:
        _end_after(lambda: _attend(entrance, creator, program))
    _pass_on(child)
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    entrance.close()
    try:
        return _wait(child)
    finally:
        signal.signal(signal.SIGINT, previous)


def _end_after(work: Callable[[], NoReturn]) -> NoReturn:
    """Do the work of a fork, which never returns to the code of its parent."""
    try:
        work()
    except OSError as error:  # the sandbox has ended
        os.write(2, f"testbed: the node cannot be entered: {error.strerror}\n".encode())
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def _pass_on(child: int) -> None:
    """Send a Ctrl-C to a new child that came before the child was there."""
    if signal.SIGINT in signal.sigpending():
        os.kill(child, signal.SIGINT)


def _has_terminal() -> bool:
    """Return whether this process is in the foreground of the terminal on its standard input."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:  # no terminal, or the terminal of another session
        return False


def _attend(entrance: Entrance, creator: int, program: _Program) -> NoReturn:
    """Enter the node and fork again, as only a child is in the PID namespace; exit as it does."""
    _enter(entrance)
    _die_with(creator)  # after the change of credentials, which resets the signal
    lifeline, held = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(held)
        _become(program, lifeline)
    _pass_on(child)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.close(lifeline)
    status = _wait(child, terminal=program.terminal)
    os.close(held)
    os._exit(status)


def _become(program: _Program, lifeline: int) -> NoReturn:
    """Execute the program, in a process group of its own that has the terminal.

    A shell whose process group is from outside its PID namespace could not return the terminal.
    """
    syscalls.set_parent_death_signal(signal.SIGKILL)
    if select.select([lifeline], [], [], 0)[0]:
        os._exit(1)  # the parent ended before the signal was set; getppid() is always 0
    if program.terminal:
        os.setpgid(0, 0)
        _give_terminal(os.getpid())
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    # If a Ctrl-C is pending, it ends the program here.
    signal.pthread_sigmask(signal.SIG_SETMASK, program.mask)
    try:
        os.execvpe(program.argv[0], list(program.argv), program.environment)  # noqa: S606 - no shell is the point
    except OSError as error:
        os.write(2, f"testbed: cannot run {program.argv[0]}: {error.strerror}\n".encode())
        os._exit(_NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE)


def _enter(entrance: Entrance) -> None:
    """Enter all namespaces, first the user namespace, which owns the others.

    Skip a namespace that this process is in already.
    """
    folder = Path.cwd()
    if os.fstat(entrance.user).st_ino != Path("/proc/self/ns/user").stat().st_ino:
        syscalls.setns(entrance.user)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    for descriptor in (entrance.network, entrance.pid, entrance.mount):
        syscalls.setns(descriptor)
    os.chdir(folder)  # entering a mount namespace changes the directory to its root


def _die_with(parent: int) -> None:
    syscalls.set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _give_terminal(group: int) -> None:
    """Move a process group to the foreground. Works from the background, too."""
    previous = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(0, group)
    signal.signal(signal.SIGTTOU, previous)


def _wait(child: int, *, terminal: bool = False) -> int:
    """Return the child's status, or 128 + the signal that killed it; stop while it is stopped.

    :param terminal: whether the child has the terminal, to be taken back when it stops or ends.
    """
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        if terminal:
            _give_terminal(os.getpgrp())
        if not os.WIFSTOPPED(status):
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        os.kill(os.getpid(), signal.SIGSTOP)  # Ctrl-Z stops this process, too; "fg" continues here
        if terminal:
            _give_terminal(child)
            os.killpg(child, signal.SIGCONT)
