"""The processes of the program, and the process that ends them.

::

    supervisor ── keeper ── program ── ...

The keeper is a small process that adopts the orphans of the program (PR_SET_CHILD_SUBREAPER), and
reports the program's exit status. It ends after the last of these processes. If the supervisor
ends, the keeper kills them all: without the supervisor they have no TCP. If the keeper is killed,
the supervisor kills them. Both hold the listener of the filter: if the listener were closed while a
program runs, the system calls of the program would fail.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import signal
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from testbed.errors import PlatformError, TestbedError
from testbed.programs.seccomp import Listener, install
from testbed.sandbox.syscalls import set_parent_death_signal

NOT_FOUND: Final = 127  # as a shell answers
NOT_EXECUTABLE: Final = 126
_PR_SET_CHILD_SUBREAPER: Final = 36
_STATUS: Final = struct.Struct("=i")
_READY: Final = b"."
# Signals that the program gets with their default action, also if Python or a shell changed it.
_DEFAULT: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ)
# A terminal sends the first two to all processes; the supervisor passes on the others.
IGNORED: Final = (signal.SIGINT, signal.SIGQUIT)
PASSED_ON: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

_libc = ctypes.CDLL(None, use_errno=True)


class _Program(NamedTuple):
    """What is run.

    :ivar filter: see :func:`testbed.programs.calls.program`.
    :ivar mask: its blocked signals.
    """

    argv: Sequence[str]
    environment: Mapping[str, str]
    filter: bytes
    mask: set[signal.Signals | int]


class Keeper:
    """The supervisor's side of a program over the stack. The program waits for :meth:`go`.

    Create it before any event loop or thread: it forks.

    :param filter_: see :func:`testbed.programs.calls.program`.
    :raises PlatformError: the kernel does not allow the filter.
    """

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], filter_: bytes) -> None:
        status, tell = os.pipe()
        supervisor = os.pidfd_open(os.getpid())
        near, far = socket.socketpair()
        _be_subreaper()
        # Ctrl-C is held back while this forks. After that it is for the program, or for us.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
        self.pid = os.fork()
        if self.pid == 0:
            os.close(status)
            near.close()
            ends = (supervisor, tell, far)
            _protected(lambda: _keep(_Program(argv, environment, filter_, mask), ends))
        for fd in (supervisor, tell):
            os.close(fd)
        far.close()
        self._status = status
        self._near = near
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            self.program, self.listener = introduced(near)
        except BaseException:
            self.kill()
            raise

    def fileno(self) -> int:
        """Return the descriptor that has input when the program has ended."""
        return self._status

    def go(self) -> None:
        """Let the program start."""
        self._near.send(_READY)
        self._near.close()

    def returncode(self) -> int | None:
        """Return the exit status, or minus the signal number; ``None`` if the keeper died."""
        data = os.read(self._status, _STATUS.size)
        return None if len(data) < _STATUS.size else int(_STATUS.unpack(data)[0])

    def send(self, number: int) -> None:
        """Send a signal to the program, if it exists."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.program, number)

    def kill(self, spared: int = 0) -> None:
        """Kill all processes, the keeper included, and wait for them.

        :param spared: a process that is not killed.
        """
        kill_descendants(spared)
        self._near.close()

    def close(self) -> None:
        """Close the remaining descriptor."""
        if self._status >= 0:
            os.close(self._status)
        self._status = -1


def kill_descendants(spared: int = 0) -> None:
    """Kill all descendants of this process except one, and wait for them."""
    while True:
        for pid in _descendants(spared):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _descendants(spared: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            text = (folder / "stat").read_text(encoding="utf-8", errors="replace")
            parent = int(text.rpartition(")")[2].split()[1])  # the name may contain any characters
            if int(folder.name) != spared:
                children.setdefault(parent, []).append(int(folder.name))
    found, ahead = [], [os.getpid()]
    while ahead:
        below = children.get(ahead.pop(), [])
        found += below
        ahead += below
    return found


def introduced(near: socket.socket) -> tuple[int, Listener]:
    """Return the program's process and the listener of its filter.

    :param near: our end of the socket to which that process sends both.
    :raises PlatformError: the kernel does not allow the filter.
    """
    data, fds, _, _ = socket.recv_fds(near, 64, 1)
    if fds:
        return int(data), Listener(fds[0])
    number = int(data) if data else errno.ECHILD
    why = f"seccomp(2) failed: {os.strerror(number)}"
    if number == errno.EBUSY:
        raise PlatformError(
            "the program cannot run over the userspace stack here",
            why="this process already runs under a supervisor, and seccomp(2) allows only one",
            instead="remove one `testbed with-stack`, or --stack",
        )
    if number in (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EINVAL):
        raise PlatformError(
            "seccomp user notification is not permitted here",
            why=f"the supervisor of the program needs it; {why}",
            instead="use Linux 5.9 or later; in a container, allow the system call seccomp "
            "(Docker: --security-opt seccomp=unconfined); or use testbed nc or the built-in "
            "workloads, which do not need it",
        )
    raise TestbedError(f"the program could not be prepared: {why}")


def _protected(run: Callable[[], NoReturn]) -> NoReturn:
    """Run the code of a forked process. It never returns to the code of the parent."""
    try:
        run()
    except BaseException as error:
        os.write(2, f"testbed: {error!r}\n".encode())
    finally:
        os._exit(1)


def _keep(what: _Program, ends: tuple[int, int, socket.socket]) -> NoReturn:
    """Run as the keeper.

    :param ends: the pidfd of the supervisor, the pipe for the program's exit status, and the socket
        to the supervisor.
    """
    supervisor, tell, far = ends
    woken, waking = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(waking, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    keeper = os.getpid()
    here, there = socket.socketpair()
    program = os.fork()
    if program == 0:
        for fd in (supervisor, tell, woken, waking):
            os.close(fd)
        here.close()
        _protected(lambda: _become(what, keeper, (there, far)))
    there.close()
    far.close()
    socket.recv_fds(here, 1, 1)  # the listener: it stays open, so calls wait until they are killed
    here.close()
    for number in (*IGNORED, *PASSED_ON):
        signal.signal(number, signal.SIG_IGN)
    _be_subreaper()
    while True:
        ended, _, _ = select.select([supervisor, woken], [], [])
        if supervisor in ended:
            kill_descendants()
            os._exit(0)
        with contextlib.suppress(BlockingIOError):
            os.read(woken, 4096)
        _reap(program, tell)


def _reap(program: int, tell: int) -> None:
    """Reap the children that have ended. Exit if none is left."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            os._exit(0)
        if pid == 0:
            return
        if pid == program:
            with contextlib.suppress(OSError):
                os.write(tell, _STATUS.pack(os.waitstatus_to_exitcode(status)))


def _become(what: _Program, keeper: int, ends: tuple[socket.socket, socket.socket]) -> NoReturn:
    """Execute the program after the supervisor is ready.

    :param ends: the sockets to the keeper and to the supervisor.
    """
    there, far = ends
    set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != keeper:
        os._exit(1)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in _DEFAULT:
        signal.signal(number, signal.SIG_DFL)
    try:
        listener = install(what.filter)
    except OSError as error:
        far.send(str(error.errno).encode())
        os._exit(1)
    socket.send_fds(there, [_READY], [listener])
    there.close()
    socket.send_fds(far, [str(os.getpid()).encode()], [listener])
    os.close(listener)
    if far.recv(1) != _READY:
        os._exit(1)
    far.close()
    signal.pthread_sigmask(signal.SIG_SETMASK, what.mask)
    try:
        os.execvpe(what.argv[0], list(what.argv), dict(what.environment))  # noqa: S606 - no shell is the point
    except OSError as error:
        os.write(2, f"testbed: cannot run {what.argv[0]}: {error.strerror}\n".encode())
        os._exit(NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE)


def _be_subreaper() -> None:
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, *(ctypes.c_ulong(it) for it in (1, 0, 0, 0)))
