"""The features of a machine, and the needs of a test."""

from __future__ import annotations

import asyncio
import functools
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from testbed.errors import InputError, MachineError, PlatformError
from testbed.experiment.venue import SIMULATION
from testbed.hints import nearest
from testbed.machine import Program, machine
from testbed.machine.model import HOST
from testbed.sandbox import Feature, Sandbox

SANDBOX: Final = "sandbox"
ROOT: Final = "root"
_KERNEL: Final = re.compile(r"kernel\s*>=\s*(\d+(?:\.\d+)*)")


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """The features of a kernel and the rights of its user.

    :param kernel: the release of the kernel, ``6.12.48-amd64``.
    :param features: the features that ``testbed doctor`` tests; empty without a sandbox.
    :param no_sandbox: why a sandbox is impossible; empty if it is possible.
    """

    kernel: str
    root: bool
    features: tuple[Feature, ...] = ()
    no_sandbox: str = ""


def unmet(needs: Iterable[str], where: str | None) -> list[str]:
    """Return the reason and a remedy for each need that a machine does not meet.

    :param where: the machine for experiments, or None for this host.
    :raises InputError: no need has the name.
    :raises PlatformError: the machine does not work on this host.
    :raises MachineError: the machine failed.
    """
    name = where or HOST
    if name == SIMULATION:
        wanted = ", ".join(needs)
        return [f"needs {wanted}: a simulation has no kernel; use another --testbed-machine"]
    return [reason for need in needs for reason in _missing(need, name)]


def _missing(need: str, name: str) -> Iterator[str]:
    if need == SANDBOX and name != HOST:
        inside = f"testbed machine exec {name} -- python -m pytest ..."
        yield f"needs a sandbox: this process is not inside of {name}; run it there: {inside}"
        return
    there = capabilities(name)
    version = _KERNEL.fullmatch(need)
    if version is not None:
        if _numbers(there.kernel) < _numbers(version[1]):
            instead = f"use --testbed-machine qemu:{version[1]} or uml:{version[1]}"
            yield f"needs {need}: {name} has {there.kernel}; {instead}"
    elif need == ROOT:
        if not there.root:
            yield f"needs root: {name} runs this as an ordinary user; use sudo"
    elif there.no_sandbox:
        yield f"needs {need}: {there.no_sandbox}"
    elif need != SANDBOX:
        yield from _feature(need, there, name)


def _feature(need: str, there: Capabilities, name: str) -> Iterator[str]:
    found = next((feature for feature in there.features if feature.name == need), None)
    if found is None:
        known = [SANDBOX, ROOT, "kernel>=6.12", *(feature.name for feature in there.features)]
        hint = nearest(need, known) or f"there are: {', '.join(known)}"
        raise InputError(f"testbed_needs({need!r}): there is no such need", hint=hint)
    if not found.present:
        yield f"needs {need}: {name} has none ({found.detail}): {found.why}; {found.instead}"


@functools.cache
def capabilities(name: str) -> Capabilities:
    """Return the features of a machine. The first call starts the machine.

    :raises PlatformError: the machine does not work on this host.
    :raises MachineError: the machine failed.
    """
    if name == HOST:
        return here()
    with tempfile.TemporaryDirectory(prefix="testbed-") as scratch, tempfile.TemporaryFile() as out:
        program = Program(
            argv=(sys.executable, "-m", "testbed.pytest.needs"),
            directory=Path.cwd(),
            environment=os.environ,
            output=out.fileno(),
        )
        code = machine(name).execute(program, console=Path(scratch, "console"))
        if code:
            raise MachineError(f"{name}: the check of its features ended with {code}")
        out.seek(0)
        return msgspec.json.decode(out.read(), type=Capabilities)


def here() -> Capabilities:
    """Test the features of this kernel."""
    features: tuple[Feature, ...] = ()
    no_sandbox = ""
    try:
        features = asyncio.run(_features())
    except PlatformError as error:
        no_sandbox = str(error)
    return Capabilities(
        kernel=platform.release(),
        root=os.geteuid() == 0,
        features=features,
        no_sandbox=no_sandbox,
    )


async def _features() -> tuple[Feature, ...]:
    async with await Sandbox.create() as sandbox:
        return await sandbox.features()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d+", version.partition("-")[0]))


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(here()))
