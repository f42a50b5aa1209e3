"""The preparation of a candidate, and how `testbed run` is started for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec

import testbed
from testbed.campaign.bisect import times
from testbed.campaign.bisect.commits import check_out
from testbed.campaign.bisect.model import Candidate, Kind, Wanted
from testbed.errors import InputError, MachineError, PlatformError, TestbedError
from testbed.machine.uml import builds
from testbed.machine.uml.build import build
from testbed.machine.uml.maker import Watcher
from testbed.results.environment import Environment


class UnusableError(TestbedError):
    """A candidate cannot be measured. The search skips it.

    :param cannot: whether this machine lacks a capability for it.
    """

    def __init__(self, message: str, *, hint: str | None = None, cannot: bool = False) -> None:
        super().__init__(message, hint=hint)
        self._cannot = cannot

    def of_end(self, end: Candidate) -> TestbedError:
        """Return the error that ends the search, because an end cannot be measured."""
        if self._cannot:
            return PlatformError(
                f"{end} cannot be measured",
                why=self.message,
                instead=self.hint or "choose another commit or machine",
            )
        return InputError(f"{end}: {self.message}", hint=self.hint)


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """How `testbed run` is started.

    :param options: options in addition to those of the user.
    """

    directory: Path
    environment: Mapping[str, str]
    options: tuple[str, ...] = ()


class Place(Protocol):
    """A place where candidates are measured."""

    def ready(self, candidate: Candidate, folder: Path) -> Start:
        """Prepare a candidate.

        :param folder: the folder of the step, for logs.
        :raises UnusableError: this candidate cannot be built.
        """

    def check(self, candidate: Candidate, seen: Environment) -> None:
        """Refuse results of another version than this candidate.

        :raises TestbedError: the results are of another version, which it names.
        """


def place(wanted: Wanted, tree: Path | None, watcher: Watcher) -> Place:
    """Return the place for a search.

    :param tree: the worktree, if commits are searched.
    :param watcher: the receiver of the progress of kernel builds.
    """
    if tree is None:
        return _Machines(Path(wanted.directory))
    if wanted.kind is Kind.KERNEL:
        return _Kernels(tree, Path(wanted.directory), watcher)
    return _Checkouts(tree)


class _Machines:
    """Each candidate is a machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def ready(self, candidate: Candidate, folder: Path) -> Start:  # noqa: ARG002 - no log
        return Start(
            directory=self._directory,
            environment=_environment(_ours()),
            options=("--machine", candidate.name),
        )

    def check(self, candidate: Candidate, seen: Environment) -> None:
        """Check nothing: a machine is identified by its name."""


class _Kernels:
    """Each candidate is a commit of a kernel, built in the same folder as the previous one."""

    def __init__(self, tree: Path, directory: Path, watcher: Watcher) -> None:
        self._tree, self._directory, self._watcher = tree, directory, watcher

    def ready(self, candidate: Candidate, folder: Path) -> Start:
        self._watcher.step("checking out the sources")
        check_out(self._tree, candidate)
        built = builds.of_tree(self._tree)
        times.restore(self._tree, built / builds.TIMES)
        log = folder / builds.LOG
        try:
            build(str(self._tree), self._watcher)
        except InputError as error:  # the source tree has no arch/um
            raise UnusableError(error.message, hint=error.hint) from error
        except MachineError as error:  # the kernel does not compile
            shutil.copyfile(built / builds.LOG, log)
            message = error.message.replace(f"{self._tree}/", "")
            raise UnusableError(message, hint=f"see {log}") from error
        shutil.copyfile(built / builds.LOG, log)
        return Start(
            directory=self._directory,
            environment=_environment(_ours()),
            options=("--machine", f"uml:{self._tree}"),
        )

    def check(self, candidate: Candidate, seen: Environment) -> None:
        """Check nothing: a machine refuses a kernel of a commit other than the one checked out."""


class _Checkouts:
    """Each candidate is a commit of this project, and runs its own code."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree

    def ready(self, candidate: Candidate, folder: Path) -> Start:  # noqa: ARG002 - no log
        check_out(self._tree, candidate)
        # In a machine, modules are searched first in the folder where the program starts.
        return Start(directory=self._tree, environment=_environment(self._tree))

    def check(self, candidate: Candidate, seen: Environment) -> None:
        ran = None if seen.checkout is None else seen.checkout.commit
        if ran != candidate.name:
            raise TestbedError(
                f"the testbed of {ran or 'no checkout'} ran instead of that of {candidate.short}",
                hint="check which testbed the interpreter has, or the one of --python",
            )


def _ours() -> Path:
    return Path(testbed.__file__).resolve().parents[1]


def _environment(source: Path) -> dict[str, str]:
    """Return the environment variables, with a checkout first in the module search path."""
    others = os.environ.get("PYTHONPATH")
    path = os.pathsep.join((str(source), others) if others else (str(source),))
    return dict(os.environ, PYTHONPATH=path)
