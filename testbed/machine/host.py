"""The host itself, as a machine like the others."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from pathlib import Path

from testbed.errors import InputError, MachineError
from testbed.machine import processes
from testbed.machine.model import HOST, VARIABLE, Availability, Machine, Program


class Host:
    """The kernel we run on; nothing is started and nothing is shared."""

    name = HOST

    def availability(self) -> Availability:
        """Return that it works, and its kernel."""
        return Availability(ok=True, why=f"the running kernel, {platform.release()}")

    def execute(self, program: Program, *, console: Path, limit_s: float | None = None) -> int:  # noqa: ARG002 - it has no console
        """Run a program as our child; it may write wherever we may."""
        try:
            done = subprocess.run(
                program.argv,
                cwd=program.directory,
                env={**program.environment, VARIABLE: HOST},
                stdout=program.output,
                stdin=None if program.terminal else subprocess.DEVNULL,
                timeout=limit_s,
                check=False,
                preexec_fn=functools.partial(processes.die_with, os.getpid()),
            )
        except OSError as error:
            raise InputError(f"{program.argv[0]} cannot be run: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise MachineError(f"{program.argv[0]} was ended after {limit_s} s") from error
        return 128 - done.returncode if done.returncode < 0 else done.returncode


def machine(kernel: str) -> Machine:
    """Return this host.

    :raises InputError: it is asked for another kernel than its own.
    """
    if kernel:
        raise InputError("this host has one kernel; write host", hint="or qemu:running for a guest")
    return Host()


def machines() -> list[Machine]:
    """Return this host."""
    return [Host()]
