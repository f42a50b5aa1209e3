"""The interface of machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

HOST: Final = "host"
VIRTUAL_TIME: Final = "+virtual-time"  # at the end of the name of a machine whose clock is virtual
# The environment variable with the machine's name for a testbed inside a machine.
VARIABLE: Final = "TESTBED_MACHINE"
# The environment variable that marks emulated, slow processors: their speed means nothing.
EMULATED: Final = "TESTBED_EMULATED"


class Availability(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a machine works here.

    :param why: its kernel, or the reason why it does not work, in one sentence.
    :param remedy: how to make it work; empty if it works.
    """

    ok: bool
    why: str
    remedy: str = ""


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A program of this host's file system to run in a machine.

    :param argv: the program and its arguments; a bare name is looked up in the PATH.
    :param directory: its working directory, a path of this host.
    :param environment: all its environment variables.
    :param writable: directories of this host in which its changes are kept. Other changes are lost
        when the machine ends.
    :param output: our descriptor for its standard output; standard error goes to 2.
    :param terminal: whether it gets our terminal; otherwise its standard input is empty.
    :param seed: the seed of the entropy, for a machine whose only entropy is from a seed.
    """

    argv: Sequence[str]
    directory: Path
    environment: Mapping[str, str]
    writable: Sequence[Path] = ()
    output: int = 1
    terminal: bool = False
    seed: int = 0


class Machine(Protocol):
    """A machine: runs programs on a kernel."""

    @property
    def name(self) -> str:
        """The name for the user: ``host``, ``qemu:6.1``, ``uml:7.3+virtual-time``."""

    def availability(self) -> Availability:
        """Return whether the machine works here, after quick checks only."""

    def execute(self, program: Program, *, console: Path, limit_s: float | None = None) -> int:
        """Run a program and return its exit status, as a shell reports it.

        The output of the program appears on ours as it is written. Ctrl-C reaches the program; a
        second Ctrl-C ends the machine. The machine ends with the calling thread.

        :param console: the file for the kernel's messages, written from the first line on.
        :param limit_s: the time in seconds after which to end the machine.
        :raises PlatformError: the machine cannot work here.
        :raises MachineError: the machine ended, hung or was too slow before the program ended.
        """
