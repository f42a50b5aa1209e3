"""The fast start of our own programs: forks of the holder, which has imported most of them.

``python -m testbed.workload.worker`` spends most of its start on modules that the holder has
imported, too. This takes a tenth of a second, and seconds on an emulated processor.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import runpy
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

_OURS: Final = "testbed."
_ARGUMENTS: Final = (48, 49)  # fields of /proc/self/stat: start and end address, proc(5)
# Nothing can change the first two. Python ignores the others in each of its programs.
_NOT_OURS: Final = {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ}


def load(modules: Iterable[str]) -> None:
    """Import our programs, so that forks that run them find all modules imported."""
    for name in modules:
        importlib.import_module(name)
        importlib.import_module(_main(name))


def module(argv: Sequence[str]) -> str | None:
    """Return the module that a command line runs, or None.

    The module must be one of testbed and run on this interpreter.
    """
    match argv:
        case [sys.executable, "-m", str(name), *_] if name.startswith(_OURS):
            return name
    return None


def start(
    name: str, argv: Sequence[str], environment: Mapping[str, str], targets: Mapping[int, int]
) -> int:
    """Run a module as ``python -m`` does, in a session of its own; return its pid.

    :param argv: the command line, which starts with the interpreter.
    :param targets: the program's descriptors -> ours, which are above all of the program's.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    settled, settling = os.pipe()
    child = os.fork()
    if child == 0:

        def work() -> int:
            _become(argv, environment, targets)
            return _run(name)

        end_after(work)
    # Wait: an earlier signal would run the holder's handlers and wake the holder itself.
    os.close(settling)
    os.read(settled, 1)
    os.close(settled)
    return child


def end_after(work: Callable[[], int | None]) -> NoReturn:
    """Do the work of a fork, then exit without the exit handlers of its parent."""
    status: int | None = 1
    try:
        status = work()
    except SystemExit as end:
        status = _status(end)
    except BaseException:  # no exception may reach the code of the parent
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status or 0)


def _become(
    argv: Sequence[str], environment: Mapping[str, str], targets: Mapping[int, int]
) -> None:
    """Replace the holder's session, signal handlers, descriptors, environment and arguments."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - _NOT_OURS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for target, source in targets.items():
        os.dup2(source, target)
    for descriptor in {int(it.name) for it in Path("/proc/self/fd").iterdir()} - targets.keys():
        with contextlib.suppress(OSError):  # the descriptor of the listing itself
            os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = list(argv[2:])  # run_module() replaces the first one by the file name
    rename(argv)


def _run(name: str) -> int:
    sys.modules.pop(_main(name), None)  # may be imported already, but runs as a new module
    runpy.run_module(name, run_name="__main__", alter_sys=True)
    return 0


def _main(name: str) -> str:
    """Return the module that ``python -m`` runs: for a package, its ``__main__``."""
    return f"{name}.__main__" if hasattr(sys.modules.get(name), "__path__") else name


def _status(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    print(end.code, file=sys.stderr)
    return 1


def rename(argv: Sequence[str]) -> None:
    """Change the command line that ps(1) shows for this process, truncated to the old length."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = (int(fields[number - 3]) for number in _ARGUMENTS)
    room = end - start
    if room > 0:  # 0 if this process may not be inspected
        text = b"\0".join(map(os.fsencode, argv))[: room - 1]
        ctypes.memmove(start, text.ljust(room, b"\0"), room)
