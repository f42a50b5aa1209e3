"""The interface of machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

HOST: Final = "host"
VIRTUAL_TIME: Final = "+virtual-time"  # at the end of the name of a machine whose clock is virtual
# By this variable a testbed that runs inside a machine learns the machine's name.
VARIABLE: Final = "TESTBED_MACHINE"
# By this one that its processors are emulated, and slow: their speed says nothing.
EMULATED: Final = "TESTBED_EMULATED"


class Availability(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a machine works here.

    :param why: the kernel that it has, or the reason why it does not work, in one sentence.
    :param remedy: how to make it work; empty if it works.
    """

    ok: bool
    why: str
    remedy: str = ""


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A program of this host's file system, to be run in a machine.

    :param argv: the program and its arguments; a bare name is looked up in the PATH.
    :param directory: where it starts, a path of this host.
    :param environment: all of its variables.
    :param writable: directories of this host that it may change for good.  What it writes
        elsewhere is gone with the machine.
    :param output: our descriptor on which its standard output appears; its errors are on 2.
    :param terminal: it gets our terminal; otherwise its standard input is empty.
    :param seed: of all entropy, where a machine has none but from a seed.
    """

    argv: Sequence[str]
    directory: Path
    environment: Mapping[str, str]
    writable: Sequence[Path] = ()
    output: int = 1
    terminal: bool = False
    seed: int = 0


class Machine(Protocol):
    """A place where programs run on some kernel."""

    @property
    def name(self) -> str:
        """The name that the user types: ``host``, ``qemu:6.1``, ``uml:7.3+virtual-time``."""

    def availability(self) -> Availability:
        """Find out whether it would work here, by trying what can be tried in a moment."""

    def execute(self, program: Program, *, console: Path, limit_s: float | None = None) -> int:
        """Run a program and return its exit status, as a shell reports it.

        Its output appears on ours as it is written.  Ctrl-C reaches the program; a second one
        ends the machine.  The machine dies with the thread that calls this.

        :param console: where what the kernel says goes; written from the first line on.
        :param limit_s: end it after this many seconds.
        :raises PlatformError: it cannot work here.
        :raises MachineError: it ended, hung or was too slow before the program ended.
        """
