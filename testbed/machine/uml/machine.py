"""Runs a user-mode Linux, from its start to its end."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from testbed.errors import PlatformError
from testbed.machine import guest, processes
from testbed.machine.guest.watch import Interrupts, Watch, restored_terminal
from testbed.machine.model import VARIABLE, VIRTUAL_TIME, Availability, Program
from testbed.machine.uml import builds
from testbed.machine.uml.builds import Build

# The variable of the program's environment with a seed for the entropy.
SEED: Final = "TESTBED_ENTROPY"
START_NS: Final = 1_767_225_600_000_000_000  # 2026-01-01: the start of virtual time
MEMORY: Final = "1024M"  # allocated on the host as it is used

# Numbers of the kernel's descriptors. They are in its command line, which is a source of its
# entropy. So the command line must be the same for every run: it has no path or other number.
_STDOUT, _STDERR, _STATUS, _INTERRUPT = range(20, 24)
_COMMAND_LINE: Final = (
    f"mem={MEMORY}",
    "fb_tunnels=none",  # a new network namespace has a loopback interface and no tunnels
    *("root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"),
    "init=/proc/self/cwd/init",  # /proc of the host: the working directory of the kernel
    *("seccomp=auto", "con=null", "con0=null,fd:2", "console=tty0", "panic=-1"),
    *(f"con2=null,fd:{_STDERR}", f"con3=null,fd:{_STATUS}", f"con4=fd:{_INTERRUPT},null"),
)
_VARIABLES: Final = frozenset(("PATH", "LANG", "LC_ALL", "TERM", "PYTHONPATH"))
_VIRTUAL: Final = ("time-travel=inf-cpu", f"time-travel-start={START_NS}")

# A console is a terminal. The program's output must not be one, so cat(1) copies it.
_PIPES: Final = """\
for tty in 1 2 3; do stty -F /dev/tty$tty raw -echo; done
mkfifo /run/testbed-stdout /run/testbed-stderr
cat /run/testbed-stdout > /dev/tty1 & relays=$!
cat /run/testbed-stderr > /dev/tty2 & relays="$relays $!"
"""
# A kernel has timers of high resolution from its first tick on (hrtimer_run_queues() in
# kernel/time/hrtimer.c). Before it clock_getres(2) returns 10 ms, and in virtual time no time
# passes until a program sleeps. When asyncio creates a loop, it takes this resolution for how
# early it may call back.
_EXACT_TIMERS: Final = """\
until grep -q 'hres_active *: 1' /proc/timer_list; do sleep 0.01; done
"""
# In virtual time the programs run in the order in which they are woken, because the decisions of
# the kernel's default scheduler depend on all earlier events. The programs are never delayed for
# the kernel's own threads, which run when all programs sleep. Linux 6.1 gathers entropy by spinning
# until such a thread has run, so this is done first.
_IN_ORDER: Final = """\
head -c 1 /dev/random > /dev/null
echo -1 > /proc/sys/kernel/sched_rt_runtime_us
chrt --fifo --pid 1 $$
"""
# Linux 6.1 does not trust the host's entropy, has no other source here, and would wait for minutes.
# So it gets entropy by RNDADDENTROPY (random(4)), as a real machine does.
_ENTROPY: Final = """\
[ "$(cat /proc/sys/kernel/random/entropy_avail)" -ge 256 ] || {python} -ISc 'import fcntl, struct
with open("/dev/random", "wb") as device:
    seed = bytes.fromhex("{seed}")
    fcntl.ioctl(device, 0x40085203, struct.pack("=ii", 8 * len(seed), len(seed)) + seed)'
"""
_SEED_OCTETS: Final = 64
# reboot(2), because not every host has poweroff(8).
_POWER_OFF: Final = (
    f"wait $relays; {shlex.quote(sys.executable)} -ISc"
    " 'import ctypes; ctypes.CDLL(None).reboot(0x4321FEDC)'"
)


class Uml:
    """A user-mode Linux.

    :param kernel: a version of Debian's kernel or the path of a source tree.
    :param virtual_time: whether its clock stops while any program runs; see the package.
    """

    def __init__(self, kernel: str, *, virtual_time: bool) -> None:
        self._kernel = kernel
        self._virtual_time = virtual_time

    @property
    def name(self) -> str:
        """``uml:7.3`` or ``uml:7.3+virtual-time``."""
        return f"uml:{self._kernel}{VIRTUAL_TIME if self._virtual_time else ''}"

    def availability(self) -> Availability:
        """Return whether the kernel is built from the current state of its source tree."""
        found = builds.find(self._kernel)
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
        found = builds.find(self._kernel)
        if not available.ok or found is None:
            raise PlatformError(
                f"{self.name} cannot be used", why=available.why, instead=available.remedy
            )
        environment = {**self._kept(program.environment), VARIABLE: self.name}
        program = msgspec.structs.replace(program, environment=environment)
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(_folder())
            init = folder / "init"
            init.write_text(guest.script(self._guest(program), program))
            init.chmod(0o755)
            log = stack.enter_context(console.open("ab"))
            numbers = (_STATUS, _INTERRUPT, *(() if program.terminal else (_STDOUT, _STDERR)))
            pipes = {
                number: stack.enter_context(_Pipe(down=number == _INTERRUPT)) for number in numbers
            }
            child = processes.start(
                [str(found.linux), *self._command_line(program)],
                numbers={number: pipe.theirs for number, pipe in pipes.items()},
                output=log,
                terminal=program.terminal,
                directory=folder,
                environment=self._variables(found, folder, program),
                before=_stay_on_one_processor,
            )
            stack.callback(_end, child)
            for pipe in pipes.values():
                pipe.close_theirs()
            return _follow(self.name, pipes, program, console, limit_s, folder, child)

    def _kept(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the program's variables; for virtual time only those equal for all users."""
        if not self._virtual_time:
            return dict(environment)
        return {"PYTHONHASHSEED": "0"} | {
            name: value
            for name, value in sorted(environment.items())
            if name in _VARIABLES or name.startswith("TESTBED_")
        }

    def _guest(self, program: Program) -> guest.Guest:
        """Return the parts of the first process's script for this kind of machine."""
        shares = tuple(
            guest.Share(path=path, kind="hostfs", source="none", options=str(path))
            for path in program.writable
        )
        terminal = "/dev/tty1" if program.terminal else None
        first = _EXACT_TIMERS + (_IN_ORDER if self._virtual_time else _entropy())
        return guest.Guest(
            lower="/",
            shares=shares,
            stdin=terminal or "/dev/null",
            stdout=terminal or "/run/testbed-stdout",
            stderr=terminal or "/run/testbed-stderr",
            status="/dev/tty3",
            interrupt="/dev/tty4",
            prepare=first + ("stty -F /dev/tty3 raw -echo" if program.terminal else _PIPES),
            power_off=_POWER_OFF,
        )

    def _command_line(self, program: Program) -> tuple[str, ...]:
        con1 = "fd:0,fd:1" if program.terminal else f"null,fd:{_STDOUT}"
        return (*_COMMAND_LINE, f"con1={con1}", *(_VIRTUAL if self._virtual_time else ()))

    def _variables(self, found: Build, folder: Path, program: Program) -> dict[str, str]:
        """Return the environment variables of the kernel itself, a program of the host.

        Without any variable it would not find the end of its address space.
        """
        regset = [str(found.regset)] if found.regset.exists() else []
        if not self._virtual_time:
            return {"HOME": str(folder), "LD_PRELOAD": ":".join(regset)}
        return {
            "HOME": str(folder),
            "LD_PRELOAD": ":".join([str(found.entropy), *regset]),
            SEED: str((_number(program.environment.get(SEED, "")) + program.seed) % 2**64),
        }


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _entropy() -> str:
    seed = os.urandom(_SEED_OCTETS).hex()
    return _ENTROPY.format(python=shlex.quote(sys.executable), seed=seed)


class _Pipe:
    """A pipe between us and the kernel.

    :param down: whether the pipe leads from us to the kernel, not from the kernel to us.
    """

    def __init__(self, *, down: bool) -> None:
        read, write = os.pipe()
        self.ours, self.theirs = (write, read) if down else (read, write)
        self._open = {self.ours, self.theirs}

    def close_theirs(self) -> None:
        """Close our copy of the kernel's end."""
        os.close(self.theirs)
        self._open.remove(self.theirs)

    def write(self, octets: bytes) -> None:
        """Write to a pipe that leads down."""
        os.write(self.ours, octets)

    def __enter__(self) -> _Pipe:
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._open:
            os.close(end)


def _follow(
    name: str,
    pipes: Mapping[int, _Pipe],
    program: Program,
    console: Path,
    limit_s: float | None,
    folder: Path,
    child: subprocess.Popen[bytes],
) -> int:
    sys.stdout.flush()
    outputs = (
        {} if program.terminal else {pipes[_STDOUT].ours: program.output, pipes[_STDERR].ours: 2}
    )
    watch = Watch(
        name,
        status=pipes[_STATUS].ours,
        outputs=outputs,
        console=console,
        limit_s=limit_s,
        spent=processes.cpu_meter(child),
        on_up=lambda: shutil.rmtree(folder),  # removed early: kill -9 leaves no folder
    )
    interrupts = Interrupts(lambda: pipes[_INTERRUPT].write(b"\n"))
    with restored_terminal() if program.terminal else interrupts:
        return watch.follow()


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Create a folder, and remove it on exit if it still exists."""
    folder = Path(tempfile.mkdtemp(prefix="testbed-uml-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _stay_on_one_processor() -> None:
    """Bind this process to one processor: system calls of the guest take a fifth of the time."""
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {processors[os.getpid() % len(processors)]})


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()  # its programs, which are processes of the host, end with it
    child.wait()
