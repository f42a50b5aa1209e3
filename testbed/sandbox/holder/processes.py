"""Processes in nodes, which process 1 of the sandbox starts and reaps."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import shutil
import signal
from collections.abc import Iterator
from typing import Final

import msgspec

from testbed.errors import SandboxError
from testbed.sandbox import protocol
from testbed.sandbox.holder import forked

# Received descriptors are moved above all numbers that a child may use, so that no dup2(2) in the
# child overwrites the source of another one.
_MAX_TARGET: Final = 255


class Ended(msgspec.Struct, frozen=True):
    """A reaped process."""

    pid: int
    status: int  # the status of waitpid(2)
    usage: resource.struct_rusage

    def message(self) -> protocol.Exited:
        """Return the message to the client of the process."""
        return protocol.Exited(
            pid=self.pid,
            status=self.status,
            cpu_user_s=self.usage.ru_utime,
            cpu_system_s=self.usage.ru_stime,
            max_rss_bytes=self.usage.ru_maxrss * 1024,
        )


class Limits:
    """The limit on descriptors, raised for the holder and restored for programs."""

    def __init__(self) -> None:
        self._soft, self._hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.raise_own()

    def raise_own(self) -> None:
        """Raise the limit of this process to its maximum: the holder has a descriptor per node."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._hard, self._hard))

    def restore(self) -> None:
        """Restore the limit that this process started with."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._soft, self._hard))


def spawn(request: protocol.Spawn, descriptors: tuple[int, ...], limits: Limits) -> int:
    """Start a process in the network namespace of this thread.

    Closes ``descriptors``. The child leads a session of its own.

    :raises SandboxError: the program or the directory does not exist or cannot be run.
    """
    high: list[int] = []
    try:
        if any(not 0 <= target <= _MAX_TARGET for target in request.targets):
            raise SandboxError(f"descriptors of a process are numbered 0 to {_MAX_TARGET}")
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _MAX_TARGET + 1) for fd in descriptors]
        targets = dict(zip(request.targets, high, strict=True))
        with _surroundings(request, limits):
            module = forked.module(request.argv)
            if module is not None:
                return forked.start(module, request.argv, request.env, targets)
            return _start(request, targets)
    except OSError as error:
        raise SandboxError(
            f"cannot start {request.argv[0]} on {request.namespace}: {error.strerror}"
        ) from error
    finally:
        for fd in (*descriptors, *high):
            os.close(fd)


@contextlib.contextmanager
def _surroundings(request: protocol.Spawn, limits: Limits) -> Iterator[None]:
    """Set the working directory and the limits of the program within the context."""
    before = os.open(".", os.O_PATH)
    limits.restore()
    try:
        os.chdir(request.cwd)
        yield
    finally:
        limits.raise_own()
        os.fchdir(before)
        os.close(before)


def _start(request: protocol.Spawn, targets: dict[int, int]) -> int:
    program = shutil.which(request.argv[0], path=request.env.get("PATH"))
    if program is None:
        raise FileNotFoundError(0, "no such program")
    return os.posix_spawn(
        program,
        request.argv,
        request.env,
        file_actions=[(os.POSIX_SPAWN_DUP2, source, target) for target, source in targets.items()],
        setsid=True,
        setsigmask=(),
        setsigdef=signal.valid_signals(),  # including those that Python or our parent ignores
    )


def reap() -> Iterator[Ended]:
    """Yield every child that has ended, including adopted orphans."""
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield Ended(pid, status, usage)


def kill_group(pid: int, number: int) -> None:
    """Send a signal to the process group of a process; no error if it has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)
