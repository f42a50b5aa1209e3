"""The reader of Mininet scripts. It runs a script in a separate process and gets its network."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import msgspec

from testbed.errors import InputError
from testbed.hints import nearest
from testbed.interchange.imports import Imported
from testbed.interchange.mininet.model import Recorded
from testbed.interchange.mininet.translate import translated
from testbed.machine.processes import die_with

FORMAT = "Mininet"


def read(file: Path, topology: str | None = None, *, limit_s: float = 60) -> Imported:
    """Run a script on stand-ins for Mininet, and translate the network that it builds.

    :param topology: the subclass of Topo, or the key of ``topos``, to build; without it the script
        is run as a program.
    :param limit_s: the time limit in seconds.
    :raises InputError: the script cannot be run, or builds no network.
    """
    recorded = _recorded(file, topology, limit_s)
    if not recorded.found:
        raise _nothing(file, topology, recorded)
    return translated(recorded, origin=file.name, format=FORMAT)


def _recorded(file: Path, topology: str | None, limit_s: float) -> Recorded:
    _refuse_what_is_no_script(file)
    path = os.pathsep.join(dict.fromkeys(str(Path(it).absolute()) for it in sys.path))
    argv = [sys.executable, "-P", "-m", "testbed.interchange.mininet.record", str(file)]
    try:
        done = subprocess.run(
            [*argv, *([topology] if topology else [])],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": path},
            timeout=limit_s,
            check=False,
            preexec_fn=functools.partial(die_with, os.getpid()),
        )
    except subprocess.TimeoutExpired:
        hint = "name the topology (FILE.py:TOPO), or set a longer --timeout"
        raise InputError(f"did not end within {limit_s:g} s", file=file, hint=hint) from None
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        why = lines[-1] if lines else f"its process ended with {done.returncode}"
        raise InputError(f"cannot be run: {why}", file=file)
    return msgspec.json.decode(done.stdout, type=Recorded)


def _refuse_what_is_no_script(file: Path) -> None:
    """Refuse a file that cannot be read or is binary, before Python tries to run it."""
    hint = "name a Python script"
    try:
        if file.exists() and not file.is_file() and not file.is_dir():
            raise InputError("cannot be read: it is not a regular file", file=file, hint=hint)
        binary = b"\0" in file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=file, hint=hint) from error
    if binary:
        raise InputError("is binary", file=file, hint=hint)


def _nothing(file: Path, topology: str | None, recorded: Recorded) -> InputError:
    """Return the error for a script that has built no network."""
    known = recorded.choices
    if topology is not None and topology not in known and known:
        return InputError(f"has no topology {topology!r}", file=file, hint=nearest(topology, known))
    if recorded.error is not None:
        hint = None
        if "SyntaxError" in recorded.error:
            hint = "convert scripts for Python 2 to Python 3"
        if "ModuleNotFoundError" in recorded.error:
            hint = "install it in testbed's environment; testbed replaces only Mininet's modules"
        return InputError(recorded.error, file=file, hint=hint)
    if known:
        hint = f"name one of its topologies: {', '.join(f'{file}:{name}' for name in known)}"
        return InputError("builds no network", file=file, hint=hint)
    return InputError("builds no network, and defines no topology", file=file)
