"""The host itself, as a machine like the others."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from testbed.errors import InputError, MachineError
from testbed.machine import processes
from testbed.machine.model import HOST, VARIABLE, Availability, Machine, Program


class Host:
    """The running kernel. No guest is started and no directory is shared."""

    name = HOST

    def availability(self) -> Availability:
        """Return that the host works, and the name of its kernel."""
        return Availability(ok=True, why=f"the running kernel, {platform.release()}")

    def execute(self, program: Program, *, console: Path, limit_s: float | None = None) -> int:  # noqa: ARG002 - it has no console
        """Run a program as a child process with the same write permissions."""
        try:
            child = _start(program)
        except OSError as error:
            raise InputError(f"{program.argv[0]} cannot be run: {error.strerror}") from error
        with child:
            try:
                status = child.wait(limit_s)
            except subprocess.TimeoutExpired as error:
                child.kill()
                raise MachineError(f"{program.argv[0]} was stopped after {limit_s} s") from error
            except BaseException:  # Ctrl-C
                child.kill()
                raise
        return 128 - status if status < 0 else status


def _start(program: Program) -> subprocess.Popen[bytes]:
    creator = os.getpid()

    def prepare() -> None:
        release()
        processes.die_with(creator)

    with processes.signals_held() as release:
        return subprocess.Popen(
            program.argv,
            cwd=program.directory,
            env={**program.environment, VARIABLE: HOST},
            stdout=program.output,
            stdin=None if program.terminal else subprocess.DEVNULL,
            preexec_fn=prepare,  # noqa: PLW1509 - we have one thread when we come here
        )


def machine(kernel: str) -> Machine:
    """Return this host.

    :raises InputError: a kernel is named.
    """
    if kernel:
        raise InputError(
            "this host has only one kernel", hint="write host, or qemu:running for a guest"
        )
    return Host()


def machines() -> list[Machine]:
    """Return this host."""
    return [Host()]
