"""The first process inside a machine: a shell script, written for one program.

The host's root is the lower layer of an overlay whose upper layer is in memory. So the program can
read and write all files, but its changes are not kept. Only the shares are the host's own
directories. The script needs sh, mount, mkdir and chroot (in an initramfs from busybox), and after
that only programs of the host.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Final

import msgspec

from testbed.machine.model import Program

# The lines that the guest writes to its status file.
UP: Final = "up"  # the program starts
ALIVE: Final = "alive"  # every BEAT_S after that
EXIT: Final = "exit"  # followed by the program's exit status
FULL: Final = "full"  # before EXIT: no room is left in the overlay
BEAT_S: Final = 5

_SCRIPT: Final = (Path(__file__).parent / "init.sh").read_text()


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A directory of the host that is mounted at its own path; arguments of mount(8)."""

    path: Path
    kind: str
    source: str
    options: str = "rw"


class Guest(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of the script that depend on the kind of machine. All paths are those in the guest.

    :param lower: the mount point of the host's root at the start of the script.
    :param modules: the kernel's ``lib/modules/RELEASE``, if modprobe(8) does not find it.
    :param shares: a share for each of the program's writable directories.
    :param stdin: the file or device for standard input; also for the other streams.
    :param status: the file or device for the lines above.
    :param interrupt: the file or device that has a line for each Ctrl-C, or ``None`` without one.
    :param prepare: shell commands to run before the program.
    :param power_off: the shell command that ends the machine.
    """

    lower: str
    modules: Path | None = None
    shares: Sequence[Share]
    stdout: str
    stderr: str
    status: str
    stdin: str = "/dev/null"
    interrupt: str | None = None
    prepare: str = ""
    power_off: str


def script(guest: Guest, program: Program) -> str:
    """Return the shell script for the first process."""
    shares = "\n".join(
        f"share {shlex.quote(str(it.path))} {it.kind} {shlex.quote(it.source)} {it.options}"
        for it in guest.shares
    )
    environment = (f"{name}={value}" for name, value in program.environment.items())
    return Template(_SCRIPT).substitute(
        lower=guest.lower,
        modules="" if guest.modules is None else shlex.quote(str(guest.modules)),
        shares=shares,
        stdin=guest.stdin,
        stdout=guest.stdout,
        stderr=guest.stderr,
        status=guest.status,
        interrupt=guest.interrupt or "",
        prepare=guest.prepare,
        power_off=guest.power_off,
        terminal="--ctty" if program.terminal else "",
        up=UP,
        alive=ALIVE,
        exit=EXIT,
        full=FULL,
        beat=BEAT_S,
        directory=shlex.quote(str(program.directory)),
        environment=shlex.join(environment),
        argv=shlex.join(program.argv),
    )
