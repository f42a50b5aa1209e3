"""One user-mode Linux, from its start to its end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from testbed.errors import PlatformError
from testbed.machine.guest import Guest, Share, script
from testbed.machine.model import VARIABLE, Availability, Program
from testbed.machine.supervision import Supervision
from testbed.machine.uml import build
from testbed.machine.uml.build import Build
from testbed.sandbox import syscalls

VIRTUAL_TIME: Final = "+virtual-time"
# By this variable of the program's environment another seed for the entropy is chosen.
SEED: Final = "TESTBED_ENTROPY"
START_NS: Final = 1_767_225_600_000_000_000  # 2026-01-01: when virtual time begins
MEMORY: Final = "1024M"  # taken from the host as it is used

# Descriptors of the kernel.  They stand in its command line, and that is a source of its entropy:
# it must be the same for every run, so it has no path and no other number in it either.
_STDIN, _STDOUT, _STDERR, _STATUS, _INTERRUPT = range(20, 25)
_COMMAND_LINE: Final = (
    f"mem={MEMORY}",
    *("root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"),
    "init=/proc/self/cwd/init",  # the host's /proc: the kernel's own working directory
    *("seccomp=auto", "con=null", "con0=null,fd:1", "console=tty0", "panic=-1"),
    *(f"con2=null,fd:{_STDERR}", f"con3=null,fd:{_STATUS}", f"con4=fd:{_INTERRUPT},null"),
)
_VIRTUAL: Final = ("time-travel=inf-cpu", f"time-travel-start={START_NS}")

# A console is a terminal, and the program's output shall not look like one: cat(1) stands between.
_PIPES: Final = """\
for tty in 1 2 3; do stty -F /dev/tty$tty raw -echo; done
mkfifo /run/testbed-stdout /run/testbed-stderr
cat /run/testbed-stdout > /dev/tty1 & relays=$!
cat /run/testbed-stderr > /dev/tty2 & relays="$relays $!"
"""
_POWER_OFF: Final = "wait $relays; echo o > /proc/sysrq-trigger; sleep 60"


class Uml:
    """A user-mode Linux.

    :param kernel: a version of Debian's or the path of a source tree.
    :param virtual_time: its clock stands while any program runs; see the package.
    """

    def __init__(self, kernel: str, *, virtual_time: bool) -> None:
        self._kernel = kernel
        self._virtual_time = virtual_time

    @property
    def name(self) -> str:
        """``uml:7.3`` or ``uml:7.3+virtual-time``."""
        return f"uml:{self._kernel}{VIRTUAL_TIME if self._virtual_time else ''}"

    def availability(self) -> Availability:
        """Return whether the kernel is built, from what its source tree holds now."""
        found = build.find(self._kernel)
        source = self._kernel if "/" in self._kernel else f"debian:{self._kernel}"
        remedy = f"testbed machine build uml --source {source}"
        if found is None:
            return Availability(ok=False, why="it is not built", remedy=remedy)
        if found.stale:
            why = f"{self._kernel} has changed since it was built"
            return Availability(ok=False, why=why, remedy=remedy)
        return Availability(ok=True, why=f"built from Linux {found.version}")

    def execute(self, program: Program, *, console: Path, limit_s: float | None = None) -> int:
        """See :class:`testbed.machine.model.Machine`."""
        available = self.availability()
        found = build.find(self._kernel)
        if not available.ok or found is None:
            raise PlatformError(
                f"{self.name} cannot be used", why=available.why, instead=available.remedy
            )
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="testbed-uml-")))
            init = folder / "init"
            init.write_text(script(_guest(program), self._inside(program)))
            init.chmod(0o755)
            log = stack.enter_context(console.open("wb"))
            return self._start(found, program, folder, log, stack).wait(limit_s)

    def _inside(self, program: Program) -> Program:
        environment = {**program.environment, VARIABLE: self.name}
        return msgspec.structs.replace(program, environment=environment)

    def _start(
        self,
        found: Build,
        program: Program,
        folder: Path,
        log: BinaryIO,
        stack: contextlib.ExitStack,
    ) -> Supervision:
        status, status_end = _pipe(stack)
        interrupt_end, interrupt = _pipe(stack)
        theirs = {_STATUS: status_end, _INTERRUPT: interrupt_end}
        relays: dict[int, Callable[[bytes], object]] = {}
        ends: dict[int, int] = {}
        if program.terminal:
            ends = {_STDIN: 0, _STDOUT: 1}
        else:
            for target, stream in ((_STDOUT, sys.stdout), (_STDERR, sys.stderr)):
                ours, theirs[target] = _pipe(stack)
                relays[ours.fileno()] = _writer(stream.fileno())
        ends |= {target: file.fileno() for target, file in theirs.items()}
        process = subprocess.Popen(
            [found.linux, *self._command_line(program)],
            cwd=folder,
            env=self._environment(found, folder, program.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            close_fds=False,  # ours are not inherited anyway, and those it gets have no number yet
            start_new_session=True,
            preexec_fn=_preparation(ends),  # noqa: PLW1509 - no other thread of ours holds a lock
        )
        for file in theirs.values():
            file.close()
        return Supervision(
            self.name,
            process,
            Path(log.name),
            status=status.fileno(),
            relays=relays,
            interrupt=interrupt.fileno(),
        )

    def _command_line(self, program: Program) -> tuple[str, ...]:
        con1 = f"fd:{_STDIN},fd:{_STDOUT}" if program.terminal else f"null,fd:{_STDOUT}"
        return (*_COMMAND_LINE, f"con1={con1}", *(_VIRTUAL if self._virtual_time else ()))

    def _environment(
        self, found: Build, folder: Path, environment: Mapping[str, str]
    ) -> dict[str, str]:
        """Return the variables of the kernel itself, a program of the host.

        Without any it would not find the end of its address space.
        """
        variables = {"HOME": str(folder)}
        if self._virtual_time:
            variables |= {"LD_PRELOAD": str(found.entropy), SEED: environment.get(SEED, "0")}
        return variables


def _guest(program: Program) -> Guest:
    """Say how the first process does things in there."""
    shares = tuple(
        Share(path=path, kind="hostfs", source="none", options=str(path))
        for path in program.writable
    )
    if program.terminal:
        standard = {"stdin": "/dev/tty1", "stdout": "/dev/tty1", "stderr": "/dev/tty1"}
    else:
        standard = {"stdout": "/run/testbed-stdout", "stderr": "/run/testbed-stderr"}
    return Guest(
        lower="/",
        shares=shares,
        **standard,
        status="/dev/tty3",
        interrupt="/dev/tty4",
        prepare="" if program.terminal else _PIPES,
        power_off=_POWER_OFF,
    )


def _pipe(stack: contextlib.ExitStack) -> tuple[BinaryIO, BinaryIO]:
    """Return the ends of a pipe, to read and to write."""
    read, write = os.pipe()
    return (
        stack.enter_context(os.fdopen(read, "rb", buffering=0)),
        stack.enter_context(os.fdopen(write, "wb", buffering=0)),
    )


def _writer(fd: int) -> Callable[[bytes], object]:
    return lambda data: os.write(fd, data)


def _preparation(ends: Mapping[int, int]) -> Callable[[], None]:
    """Return what the child does before it becomes the kernel.

    It dies with us, stays on one processor (system calls in there then take a fifth of the time),
    and has its descriptors under the numbers of its command line.
    """
    parent = os.getpid()
    processors = sorted(os.sched_getaffinity(0))
    processor = processors[parent % len(processors)]

    def prepare() -> None:
        syscalls.set_parent_death_signal(signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        os.sched_setaffinity(0, {processor})
        high = {target: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64) for target, fd in ends.items()}
        for target, fd in high.items():
            os.dup2(fd, target)

    return prepare
