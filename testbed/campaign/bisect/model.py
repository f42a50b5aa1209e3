"""The input of a search, its state, its result, and the file that keeps the state."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import msgspec

from testbed.analysis.comparison import NO_TERMS, Comparison, Terms
from testbed.analysis.judgement import Judgement, Row
from testbed.errors import InputError
from testbed.replacing import replace_file
from testbed.results.directories import new_directory
from testbed.results.model import SCHEMA
from testbed.results.versioned import decoded

FILE: Final = "bisect.json"
GIT_LOG: Final = "git-bisect.log"  # for commits: the names of git


class Kind(enum.StrEnum):
    """The kind of version that a search looks for."""

    CHECKOUT = "checkout"  # commits of this project
    KERNEL = "kernel"  # commits of a kernel, built as user-mode Linux
    MACHINES = "machines"  # a list of machines


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A version.

    :param name: the full hash of the commit, or the machine.
    :param subject: the first line of the commit's message.
    """

    name: str
    subject: str = ""

    @property
    def short(self) -> str:
        """Return the short name for messages."""
        return self.name[:9] if self.subject else self.name

    def __str__(self) -> str:
        return f"{self.short} {self.subject}".rstrip()


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a search.

    :param tree: the repository; empty for machines.
    :param machines: the machines from the good to the bad end; empty for commits.
    :param arguments: the arguments of `testbed run`, the experiment's file first.
    :param directory: the working directory of the steps, if not the tree.
    :param python: the Python interpreter of the steps.
    :param terms: the terms of the comparison of candidates with the good end.
    :param where: the selector of cells, as in :func:`testbed.analysis.sides.selector`.
    :param new_is_better: whether the search is for an improvement, not a regression.
    :param max_repetitions: the maximum runs of a cell; by default four times the first number.
    :param first_parent: whether to follow only the first parent of a merge.
    """

    kind: Kind
    tree: str = ""
    good: Candidate
    bad: Candidate
    machines: tuple[str, ...] = ()
    arguments: tuple[str, ...]
    directory: str
    python: str
    terms: Terms = NO_TERMS
    where: str | None = None
    new_is_better: bool = False
    max_repetitions: int | None = None
    first_parent: bool = False


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate that was judged.

    :param why: the verdicts behind the judgement, or why it was skipped.
    :param folder: its results, relative to the folder of the search; empty if it has none.
    :param base: the results of the good end that it was compared with.
    """

    candidate: Candidate
    judgement: Judgement
    why: str
    folder: str = ""
    base: str = ""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of a search.

    :param fault: the rows in which the ends differ, or ``None`` before they are compared.
    :param steps: the step of the bad end first, then those between the ends.
    """

    schema: int = SCHEMA
    wanted: Wanted
    fault: tuple[Row, ...] | None = None
    steps: tuple[Step, ...] = ()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a search.

    :param culprits: the first bad candidate, or several if those before it could not be judged.
    :param comparison: the comparison of the first bad measured candidate with the good end.
    """

    schema: int = SCHEMA
    kind: Kind
    good: Candidate
    bad: Candidate
    new_is_better: bool
    folder: str
    culprits: tuple[Candidate, ...]
    steps: tuple[Step, ...]
    comparison: Comparison

    @property
    def culprit(self) -> Candidate | None:
        """The culprit, if there is a single one."""
        return self.culprits[0] if len(self.culprits) == 1 else None


class Order(Protocol):
    """Chooses the next candidate to judge."""

    def current(self) -> Candidate | None:
        """Return the candidate to judge, or ``None`` if the search is over."""

    def mark(self, candidate: Candidate, judgement: Judgement) -> None:
        """Record its judgement."""

    def left(self) -> int:
        """Return the approximate number of steps that are left."""

    def culprits(self) -> Sequence[Candidate]:
        """Return the first bad candidate, or all possible ones."""


def new(root: Path, wanted: Wanted) -> tuple[Path, State]:
    """Make the folder of a search, ``root/UTC``.

    :raises InputError: the folder cannot be made.
    """
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    try:
        directory = new_directory(root, name)
    except OSError as error:
        raise InputError(
            f"results cannot be written to {root}: {error.strerror}",
            hint="choose another --results",
        ) from error
    state = State(wanted=wanted)
    write(directory, state)
    return directory, state


def read(directory: Path) -> State:
    """Read the progress of a search.

    :raises InputError: the folder holds no search.
    :raises StoreError: the file is damaged, or of a later version.
    """
    path = directory / FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{directory} is not the folder of a search: {error.strerror}") from error
    return decoded(content, path, State, SCHEMA)


def write(directory: Path, state: State) -> None:
    """Write the progress of a search atomically.

    :raises InputError: the file cannot be written.
    """
    path = directory / FILE
    try:
        directory.mkdir(parents=True, exist_ok=True)
        replace_file(path, msgspec.json.format(msgspec.json.encode(state), indent=1) + b"\n")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
