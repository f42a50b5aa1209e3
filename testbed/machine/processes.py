"""Child processes that end with this process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from testbed.sandbox import syscalls

_GRACE_S: Final = 5.0  # time for the processes of a group to end after SIGTERM
_TURN_S: Final = 0.02


def start(
    argv: Sequence[str],
    *,
    descriptors: Sequence[int] = (),
    numbers: Mapping[int, int] | None = None,
    output: int | IO[bytes],
    errors: int | IO[bytes] | None = None,
    terminal: bool = False,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start a program that gets a signal when the calling thread ends, for any reason.

    :param descriptors: the descriptors that it inherits with the same numbers.
    :param numbers: a map of its descriptor numbers (20 or above) to our descriptors.
    :param output: the destination of its output.
    :param errors: the destination of its standard error, by default ``output``.
    :param terminal: whether it stays in our session, with our terminal; otherwise Ctrl-C does not
        reach it.
    :param directory: its working directory, by default ours.
    :param environment: its environment variables, by default ours.
    :param before: a function to call in the child before the program starts.
    :param death_signal: the signal at the end of the calling thread.
    """
    creator = os.getpid()
    renumbered = tuple((numbers or {}).items())

    def prepare() -> None:
        release()
        if before is not None:
            before()
        die_with(creator, death_signal)
        # First to numbers that are no targets, then to their targets.
        high = [(to, fcntl.fcntl(it, fcntl.F_DUPFD_CLOEXEC, 64)) for to, it in renumbered]
        for to, it in high:
            os.dup2(it, to)

    with signals_held() as release:
        return subprocess.Popen(
            argv,
            stdin=None if terminal else subprocess.DEVNULL,
            stdout=None if terminal else output,
            stderr=output if errors is None else errors,
            pass_fds=descriptors,
            close_fds=not renumbered,  # our descriptors are not inherited (PEP 446)
            cwd=directory,
            env=environment,
            preexec_fn=prepare,  # noqa: PLW1509 - we have one thread when we come here
            start_new_session=not terminal,
        )


@contextlib.contextmanager
def signals_held() -> Iterator[Callable[[], None]]:
    """Hold SIGINT and SIGTERM while a child is created.

    Their handlers raise an exception. Python calls functions after a fork, and only prints an
    exception that is raised in one of them. So the process would not end.

    Yields a function with which the child allows the signals again.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))

    def release() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    try:
        yield release
    finally:
        release()


def die_with(creator: int, death_signal: signal.Signals = signal.SIGKILL) -> None:
    """In a child, request a signal at the end of the thread that created it.

    :param creator: the process of that thread.
    """
    syscalls.set_parent_death_signal(death_signal)
    if os.getppid() != creator:
        os._exit(1)


def cpu_meter(child: subprocess.Popen[bytes]) -> Callable[[], float]:
    """Return a function that returns the CPU time of a child's session in seconds."""
    session = os.getsid(child.pid)
    return lambda: _cpu_s(session)


def _cpu_s(session: int) -> float:
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # the process has ended
            # proc_pid_stat(5): the fields after the name in brackets; the fourth is the session.
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[3]) == session:
                ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def group(
    argv: Sequence[str],
    *,
    descriptors: Sequence[int] = (),
    output: int | IO[bytes],
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program such as make(1) in its own process group.

    On exit the group gets SIGTERM, and SIGKILL after 5 seconds. If the calling thread ends, the
    program gets SIGTERM. For the parameters see :func:`start`.
    """
    child = start(
        argv,
        descriptors=descriptors,
        output=output,
        environment=environment,
        death_signal=signal.SIGTERM,
    )
    try:
        yield child
    finally:
        _end_group(child)


def _end_group(child: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _GRACE_S
    try:
        os.killpg(child.pid, signal.SIGTERM)
        while time.monotonic() < until:
            child.poll()
            os.killpg(child.pid, 0)  # raises ProcessLookupError if no process is left
            time.sleep(_TURN_S)
    except ProcessLookupError:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
