"""The first process inside a machine: a shell script, made for one program.

The host's root is the lower layer of an overlay whose upper one is in memory, so that everything
can be read, anything can be written, and nothing is kept; only the shares are the host's own
directories.  The script needs sh, mount, mkdir and chroot (an initramfs has them from busybox),
then nothing but what the host has.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Final

import msgspec

from testbed.machine.model import Program

# What the guest writes to its status file, a line each.
UP: Final = "up"  # the program is started
ALIVE: Final = "alive"  # every BEAT_S from then on
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
    """How a kind of machine does what all do; paths are the guest's.

    :param lower: where the host's root is mounted when the script starts.
    :param modules: the kernel's ``lib/modules/RELEASE``, if it is not where modprobe(8) looks.
    :param shares: one for each of the program's writable directories.
    :param stdin: a file or device; so are the others.
    :param status: takes the lines above.
    :param interrupt: where a line is read for each Ctrl-C; ``None``: there is nothing of the kind.
    :param prepare: shell commands before the program is started.
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
    """Return the shell script that is the first process."""
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
