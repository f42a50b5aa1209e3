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

_GRACE_S: Final = 5.0  # for a group of processes to end in order
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
    """Start a program that gets a signal when the calling thread ends, however it ends.

    :param descriptors: those it inherits, under the same numbers.
    :param numbers: its descriptor number (20 or above) -> a descriptor of ours.
    :param output: where what it writes goes.
    :param errors: where what it writes to standard error goes, if not there too.
    :param terminal: it stays in our session, with our terminal; otherwise Ctrl-C does not reach it.
    :param directory: where it starts; by default where we are.
    :param environment: its variables; by default ours.
    :param before: called in the child before the program.
    :param death_signal: which signal that is.
    """
    creator = os.getpid()
    renumbered = tuple((numbers or {}).items())

    def prepare() -> None:
        release()
        if before is not None:
            before()
        die_with(creator, death_signal)
        # First to numbers that no target has, then to their targets.
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
            close_fds=not renumbered,  # of ours it inherits none anyway (PEP 446)
            cwd=directory,
            env=environment,
            preexec_fn=prepare,  # noqa: PLW1509 - we have one thread when we come here
            start_new_session=not terminal,
        )


@contextlib.contextmanager
def signals_held() -> Iterator[Callable[[], None]]:
    """Let SIGINT and SIGTERM wait while a child is made.

    Their handlers raise.  Python has functions that are called after a fork, and what is raised in
    one of them is printed and forgotten: we would not end.

    Yields what the child calls to get the signals again.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))

    def release() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    try:
        yield release
    finally:
        release()


def die_with(creator: int, death_signal: signal.Signals = signal.SIGKILL) -> None:
    """Get a signal when the thread that created this process ends; called in the child.

    :param creator: the process of that thread.
    """
    syscalls.set_parent_death_signal(death_signal)
    if os.getppid() != creator:
        os._exit(1)


def cpu_meter(child: subprocess.Popen[bytes]) -> Callable[[], float]:
    """Return a function for the CPU time in seconds that a child's session has used."""
    session = os.getsid(child.pid)
    return lambda: _cpu_s(session)


def _cpu_s(session: int) -> float:
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it is gone
            # proc_pid_stat(5): the fields behind the name in brackets; the fourth is the session.
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
    """Start a program such as make(1) in a process group of its own.

    On exit the group gets SIGTERM, and SIGKILL after 5 seconds.  If the calling thread dies, the
    program gets SIGTERM.  For the parameters see :func:`start`.
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
            os.killpg(child.pid, 0)  # no process is left: ProcessLookupError
            time.sleep(_TURN_S)
    except ProcessLookupError:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
