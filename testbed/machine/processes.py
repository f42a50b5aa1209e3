"""Child processes that cannot outlive us."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from typing import IO

from testbed.sandbox import syscalls


def start(
    argv: Sequence[str],
    *,
    descriptors: Sequence[int] = (),
    output: int | IO[bytes],
    terminal: bool = False,
    before: Callable[[], None] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program that is killed when the calling thread ends, however it ends.

    :param descriptors: those it inherits, under the same numbers.
    :param output: where what it writes goes, on both streams.
    :param terminal: it stays in our session, with our terminal; otherwise Ctrl-C does not reach it.
    :param before: called in the child before the program.
    """
    creator = os.getpid()

    def prepare() -> None:
        if before is not None:
            before()
        syscalls.set_parent_death_signal(signal.SIGKILL)
        if os.getppid() != creator:
            os._exit(1)

    return subprocess.Popen(
        argv,
        stdin=None if terminal else subprocess.DEVNULL,
        stdout=None if terminal else output,
        stderr=output,
        pass_fds=descriptors,
        preexec_fn=prepare,  # noqa: PLW1509 - we have one thread when we come here
        start_new_session=not terminal,
    )
