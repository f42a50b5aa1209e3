"""Our own programs without the wait: a fork of the holder, which has loaded most of them already.

``python -m testbed.workload.worker`` spends most of its start on importing what the holder has
imported too: a tenth of a second, and seconds where the processor is emulated.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

_OURS: Final = "testbed."
# Nobody sets the first two; Python ignores the others in every program of its own.
_NOT_OURS: Final = {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ}


def module(argv: Sequence[str]) -> str | None:
    """Return the module that a command line runs, if it is one of ours on this interpreter."""
    match argv:
        case [sys.executable, "-m", str(name), *_] if name.startswith(_OURS):
            return name
    return None


def start(
    name: str, argv: Sequence[str], environment: Mapping[str, str], targets: Mapping[int, int]
) -> int:
    """Run a module as ``python -m`` does, in a session of its own; return its process.

    :param argv: its command line, the interpreter first.
    :param targets: the descriptors it gets -> ours, which are above all of those.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    settled, settling = os.pipe()
    child = os.fork()
    if child:
        # A signal that came earlier would find the holder's handlers, and wake the holder itself.
        os.close(settling)
        os.read(settled, 1)
        os.close(settled)
        return child
    status = 1
    try:
        _become(argv, environment, targets)
        status = _run(name)
    except BaseException:  # nothing may get back into the holder's own code
        traceback.print_exc()
    finally:
        _end(status)


def _become(
    argv: Sequence[str], environment: Mapping[str, str], targets: Mapping[int, int]
) -> None:
    """Leave behind what is the holder's: its session, signals, descriptors and environment."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - _NOT_OURS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for target, source in targets.items():
        os.dup2(source, target)
    for descriptor in {int(it.name) for it in Path("/proc/self/fd").iterdir()} - targets.keys():
        with contextlib.suppress(OSError):  # the one that listed them
            os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = list(argv[2:])  # run_module() puts the file's name first


def _run(name: str) -> int:
    try:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    return 0


def _end(status: int) -> NoReturn:
    """End without what the holder would do at its end."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)
