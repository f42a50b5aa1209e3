"""The work of the fixtures: reading, running and building, for one test."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from testbed import api
from testbed.errors import InputError, TestbedError
from testbed.experiment.asked import is_deterministic
from testbed.experiment.load import glance
from testbed.experiment.venue import venue
from testbed.machine.model import HOST, VARIABLE
from testbed.machine.processes import die_with
from testbed.pytest.sandboxes import RunningSandbox
from testbed.topology.load import load_topology
from testbed.topology.model import Topology
from testbed.topology.plan import plan
from testbed.topology.resolve import resolve

_WORKER: Final = "PYTEST_XDIST_WORKER"  # pytest-xdist sets it in each of its processes
_RUN: Final = "PYTEST_XDIST_TESTRUNUID"  # equal in all of them
_ODD: Final = re.compile(r"[^\w.,=+\[\]-]+")
_LONGEST: Final = 200  # characters of a folder's name; a file system allows 255 octets


class Laboratory:
    """The access of one test to networks.

    :param test: the id of the test, ``tests/test_it.py::test[10ms]``.
    :param beside: the base of relative paths; ``root`` is the second choice.
    :param machine: the machine for experiments, or None for the machine that each file names.
    :param results: the folder that gets a folder with the results of this test.
    :param skip: a function that skips the test, with a reason.
    """

    def __init__(
        self,
        *,
        test: str,
        beside: Path,
        root: Path,
        machine: str | None,
        results: Path,
        skip: Callable[[str], NoReturn],
    ) -> None:
        self._places = (beside, root)
        self._machine = machine
        self._results = results / folder_name(test)
        self._skip = skip

    def topology(self, path: Path | str) -> Topology:
        """Read a topology and resolve it.  Raises InputError."""
        return resolve(load_topology(self._find(path)))

    def experiment(self, path: Path | str, **changes: Any) -> api.Results:
        """Run an experiment.

        :param changes: the changes of :func:`testbed.api.load`; ``machine`` may be any machine.
        :raises InputError: the file or a change is invalid.
        :raises TestbedError: no run is possible.
        """
        __tracebackhide__ = True
        file = self._find(path)
        if self._machine == api.SIMULATION and "machine" not in changes:
            self._all_of_it_simulated(file, changes.get("stacks", ()))
        machine = changes.pop("machine", None) or self._machine or self._wanted(file)
        with _quiet(machine):
            if machine in (api.HOST, api.SIMULATION):
                return api.run(api.load(file, machine=machine, **changes), self._results)
            return _elsewhere(file, machine, self._results, **changes)

    def simulation(self, path: Path | str, **changes: Any) -> api.Results:
        """Run an experiment in a simulation, without the stacks that it does not have."""
        __tracebackhide__ = True
        return self.experiment(path, machine=api.SIMULATION, **changes)

    def sandbox(
        self, topology: Topology | Path | str, *, engine: str = "auto", seed: int = 0
    ) -> RunningSandbox:
        """Return a sandbox that is built when it is entered.

        :param engine: the engine that shapes the wires: ``auto``, ``netem`` or ``emulator``.
        :param seed: the seed for the random numbers of the wires.
        :raises InputError: the file is invalid.
        """
        found = topology if isinstance(topology, Topology) else self.topology(topology)
        return RunningSandbox(plan(found, engine=engine, seed=seed))

    def _find(self, path: Path | str) -> Path:
        tried = [folder / path for folder in self._places]
        return next((file for file in tried if file.exists()), tried[0])

    def _all_of_it_simulated(self, file: Path, stacks: Sequence[str]) -> None:
        """Skip a test if a simulation lacks a stack of its experiment."""
        there = venue(api.SIMULATION).stacks
        choices = glance(file, stacks).choices
        lost = [it.label for it in choices if any(end.name not in there for end in it.ends)]
        if lost:
            why = f"a simulation has no stack {', '.join(lost)}"
            self._skip(f"{file.name}: {why}; use another --testbed-machine, or fewer stacks")

    def _wanted(self, file: Path) -> str:
        """Return the machine that a file names, or this host if we run inside a machine."""
        machines = () if VARIABLE in os.environ else glance(file).machines
        if len(machines) > 1:
            names = ", ".join(machines)
            raise InputError(
                f"{file}: names several machines ({names}), but a test uses one",
                hint='use --testbed-machine, or experiment(..., machine="...")',
            )
        return machines[0] if machines else HOST


def folder_name(test: str) -> str:
    """Return the path for the results of a test, for example ``test_it.py/test[10ms]``."""
    file, _, name = test.partition("::")
    return f"{_ODD.sub('_', file)[-_LONGEST:]}/{_ODD.sub('_', name)[:_LONGEST]}"


@contextlib.contextmanager
def _quiet(machine: str) -> Iterator[None]:
    """Let only one process of pytest-xdist measure at a time, unless time is virtual."""
    if _WORKER not in os.environ or is_deterministic(machine):
        yield
        return
    # flock(2) needs a file. It is empty and may stay.
    name = Path(os.environ.get("TMPDIR", "/tmp"), f"testbed-{os.environ[_RUN]}.lock")  # noqa: S108
    with name.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _elsewhere(
    file: Path,
    machine: str,
    results: Path,
    *,
    stacks: Sequence[str] = (),
    values: dict[str, Any] | None = None,
    **changes: Any,
) -> api.Results:
    """Run an experiment in a machine by the command line, which starts the machine."""
    options = [f"--{name}={value}" for name, value in changes.items() if value is not None]
    options += [f"--stack={stack}" for stack in stacks]
    texts = {path: msgspec.json.encode(value).decode() for path, value in (values or {}).items()}
    options += [f"--set={path}={text}" for path, text in texts.items()]
    places = (f"--machine={machine}", f"--results={results}")
    done = subprocess.run(
        (sys.executable, "-m", "testbed", "run", "--json", *places, *options, str(file)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=functools.partial(die_with, os.getpid()),
    )
    sys.stderr.write(done.stderr)  # pytest shows it if the test fails
    made = msgspec.json.decode(done.stdout) if done.stdout.strip() else []
    if not made:
        said = done.stderr.strip().removeprefix("testbed: ") or f"ended with {done.returncode}"
        raise (InputError if done.returncode == InputError.exit_code else TestbedError)(said)
    return api.read(made[0]["folder"])
