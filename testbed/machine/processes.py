"""Child processes that cannot outlive us."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from testbed.sandbox import syscalls


def start(
    argv: Sequence[str],
    *,
    descriptors: Sequence[int] = (),
    numbers: Mapping[int, int] | None = None,
    output: int | IO[bytes],
    terminal: bool = False,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program that is killed when the calling thread ends, however it ends.

    :param descriptors: those it inherits, under the same numbers.
    :param numbers: its descriptor number (20 or above) -> a descriptor of ours.
    :param output: where what it writes goes, on both streams.
    :param terminal: it stays in our session, with our terminal; otherwise Ctrl-C does not reach it.
    :param directory: where it starts; by default where we are.
    :param environment: its variables; by default ours.
    :param before: called in the child before the program.
    """
    creator = os.getpid()
    renumbered = tuple((numbers or {}).items())

    def prepare() -> None:
        if before is not None:
            before()
        syscalls.set_parent_death_signal(signal.SIGKILL)
        if os.getppid() != creator:
            os._exit(1)
        # All of them away from where they shall be, then there.
        high = [(to, fcntl.fcntl(it, fcntl.F_DUPFD_CLOEXEC, 64)) for to, it in renumbered]
        for to, it in high:
            os.dup2(it, to)

    return subprocess.Popen(
        argv,
        stdin=None if terminal else subprocess.DEVNULL,
        stdout=None if terminal else output,
        stderr=output,
        pass_fds=descriptors,
        close_fds=not renumbered,  # of ours it inherits none anyway (PEP 446)
        cwd=directory,
        env=environment,
        preexec_fn=prepare,  # noqa: PLW1509 - we have one thread when we come here
        start_new_session=not terminal,
    )
