"""The folder of one experiment's results.

::

    experiment.json          what was asked for, complete
    environment.json         the environment of the runs
    manifest.jsonl           the list of finished runs
    workers.jsonl            the environment of each worker of a cluster that got runs
    files/01-link.csv        copies of files that the experiment names: traces of links, pages
    runs/0001/run.json       one run; a run without this file is not finished
    runs/0001/series.jsonl   what the probes saw, one JSON object a line
    runs/0001/samples.json   single latencies or delays, if the workload has them
    runs/0001/...            logs and packet captures
    summary.json             the summary that `testbed show` prints, written at the end

Each file except the manifest, and the directory of each run, is created atomically. So a folder is
readable at any moment: after Ctrl-C, on a full disk, or during a copy. A repeated run replaces the
old one when it is finished. Until then its files are in ``runs/.0001``.

The folder contains no path of other files, except those that the experiment names. After a power
failure, runs of the last half minute may be missing if each took less than :data:`FLUSH_S` seconds.
Then run them again.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from testbed.errors import InputError, StoreError
from testbed.records import Record, ends, read
from testbed.results import upgrade
from testbed.results.directories import flush, new_directory, replace_directory
from testbed.results.environment import Environment
from testbed.results.manifest import NAME, Entry, Manifest, octets
from testbed.results.model import SCHEMA, ExperimentRecord, RunRecord
from testbed.results.versioned import DAMAGED, schema_of

FLUSH_S: Final = 1.0  # a flush takes milliseconds, as long as all other work for a run
_NO_NAMES: Final = ("", ".", "..")
RUNS: Final = "runs"
RUN: Final = "run.json"
FILES: Final = "files"
WORKERS: Final = "workers.jsonl"
CONSOLE: Final = "console.log"

T = TypeVar("T")

# Receives the error for a damaged file. Then the other files are read.
OnDamage = Callable[[StoreError], None]


class Store:
    """A result folder. Use :meth:`create` for a new one, and :meth:`open` for an existing one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._manifest = Manifest(path)
        self._flushed = time.monotonic()

    @classmethod
    def create(
        cls,
        root: Path,
        experiment: ExperimentRecord,
        environment: Environment | None = None,
        files: Collection[str] = (),
    ) -> Store:
        """Create ``root/NAME/UTC-HASH``. HASH is the start of the digest of the specification.

        :param environment: the environment of the runs, or ``None`` if :meth:`describe` adds it
            later.
        :param files: the files to copy into the folder. The copies are numbered in this order.
        :raises InputError: the folder cannot be written, or the name of the experiment is not a
            valid name of a folder.
        """
        if experiment.name in _NO_NAMES or "/" in experiment.name:
            raise InputError(
                f"the experiment's name {experiment.name!r} cannot be the name of a folder",
                hint="rename its file",
            )
        created = datetime.fromisoformat(experiment.created_at).astimezone(UTC)
        name = f"{created:%Y%m%dT%H%M%SZ}-{experiment.digest[:8]}"
        with contextlib.ExitStack() as undoing:
            try:
                store = cls(new_directory(root / experiment.name, name))
                undoing.callback(store._discard)
                store._write("experiment.json", _pretty(experiment))
                store._keep(files)
                if environment is not None:
                    store.describe(environment)
                store._manifest.create()
            except (OSError, StoreError) as error:
                why = error.strerror if isinstance(error, OSError) else error.message
                raise InputError(
                    f"results cannot be written to {root}: {why}", hint="choose another --results"
                ) from error
            undoing.pop_all()
        return store

    def describe(self, environment: Environment) -> None:
        """Record the environment. Raises StoreError."""
        self._write("environment.json", _pretty(environment))

    @property
    def described(self) -> bool:
        """Whether the environment is recorded."""
        return (self.path / "environment.json").exists()

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open an existing folder.

        :raises InputError: it is not a result folder.
        """
        try:
            there = (path / "experiment.json").is_file()
        except OSError as error:
            raise InputError(f"{path} is not a result folder: {error.strerror}") from error
        if not there:
            raise InputError(f"{path} is not a result folder: it has no experiment.json")
        return cls(path)

    def experiment(self) -> ExperimentRecord:
        """Read the experiment. Raises StoreError."""
        return self._read("experiment.json", ExperimentRecord)

    def environment(self) -> Environment:
        """Read the environment. Raises StoreError."""
        return self._read("environment.json", Environment)

    def runs(self, on_damage: OnDamage | None = None) -> list[RunRecord]:
        """Read the finished runs, in order.

        :param on_damage: receives an error for each unreadable file; without it the first one is
            raised.
        :raises StoreError: a file cannot be read.
        """
        found: list[RunRecord] = []
        for number in self.over(on_damage):
            with _passed_on(on_damage):
                found.append(self.run(number))
        return found

    def run(self, number: int) -> RunRecord:
        """Read one finished run. Raises StoreError."""
        name = f"{RUNS}/{number:04d}/{RUN}"
        record = self._read(name, RunRecord, self._upgraded)
        with _decoding(self.path / name):
            for flow in record.flows.values():
                ends(flow.details)
        return record

    def series(self, number: int, on_damage: OnDamage | None = None) -> tuple[Record, ...]:
        """Read the records of the probes of a run, in the order of time; empty without a file.

        :param on_damage: receives the error if the file cannot be read; without it the error is
            raised.
        :raises StoreError: it cannot be read.
        """
        path = self._run(number) / "series.jsonl"
        found: tuple[Record, ...] = ()
        with _passed_on(on_damage):
            try:
                with _decoding(path):
                    found = tuple(read(octets(path)))
            except FileNotFoundError:
                pass
            except OSError as error:
                raise StoreError(f"{path} cannot be read: {error.strerror}") from error
        return found

    def samples(self, number: int) -> dict[str, list[int]]:
        """Read the single latencies and delays of a run in nanoseconds, by name; may be empty.

        :raises StoreError: it cannot be read.
        """
        path = self._run(number) / "samples.json"
        try:
            with _decoding(path):
                return msgspec.json.decode(octets(path), type=dict[str, list[int]])
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error

    def over(self, on_damage: OnDamage | None = None) -> dict[int, Entry]:
        """Return the entries of the finished runs, by number.

        A copy of a folder may hold only some of the runs. Entries that the manifest lacks are read
        from the runs.

        :param on_damage: receives an error for each unreadable file; without it the first one is
            raised.
        :raises StoreError: a file cannot be read.
        """
        entries = self._manifest.over(on_damage)
        found: dict[int, Entry] = {}
        for number in self._there():
            if number in entries:
                found[number] = entries[number]
            else:
                with _passed_on(on_damage):
                    found[number] = _entry(self.run(number))
        return found

    def _there(self) -> list[int]:
        """Return the numbers of the runs in the folder."""
        try:
            names = [path.name for path in (self.path / RUNS).iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{self.path / RUNS} cannot be read: {error.strerror}") from error
        return [
            number
            for number in sorted(map(int, filter(str.isdecimal, names)))
            if self._holds(number)
        ]

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Lock the folder for writing runs.

        :raises InputError: another process writes to the folder.
        :raises StoreError: the folder cannot be written.
        """
        with contextlib.ExitStack() as held:
            with self._failing(self.path / NAME):
                if not self._manifest.exists:
                    before = self.over()
                    self._manifest.create()
                    for entry in before.values():
                        self._manifest.add(entry)
                held.enter_context(self._manifest.locked())
            held.callback(self._clear)
            self._clear()
            yield

    def _clear(self) -> None:
        """Remove the files of unfinished runs."""
        for left in self.path.glob(f"{RUNS}/.*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)

    def _holds(self, number: int) -> bool:
        try:
            return (self._run(number) / RUN).stat().st_size > 0
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True  # the reader of the file gets the error

    def _upgraded(self, run: dict[str, Any]) -> dict[str, Any]:
        return upgrade.run(run, self._spec)

    @functools.cached_property
    def _spec(self) -> dict[str, Any]:
        return self.experiment().spec

    def begin_run(self, number: int) -> Path:
        """Return an empty directory for a run's files.

        The files of an earlier attempt at the run stay until :meth:`finish_run`.

        :raises StoreError: the directory cannot be created.
        """
        directory = self._begun(number)
        with self._failing(directory):
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
        return directory

    def finish_run(self, record: RunRecord) -> None:
        """Store a run. Its other files are in the directory that :meth:`begin_run` returned.

        :raises StoreError: the run cannot be written; earlier runs are unchanged.
        """
        due = time.monotonic() - self._flushed >= FLUSH_S
        begun, directory = self._begun(record.number), self._run(record.number)
        with self._failing(directory):
            try:
                (begun / RUN).write_bytes(_pretty(record))
                if due:
                    flush(begun)
                replace_directory(begun, directory)
            except OSError:
                shutil.rmtree(begun, ignore_errors=True)  # make room on a full disk
                raise
            self._manifest.add(_entry(record))
        if due:
            self._flushed = time.monotonic()

    def write_summary(self, summary: Any) -> None:
        """Write ``summary.json``.  Raises StoreError."""
        self._write("summary.json", _pretty(summary))

    def add_console(self, text: bytes) -> None:
        """Append kernel messages of a virtual machine to ``console.log``. Raises StoreError."""
        with self._failing(self.console), self.console.open("ab") as file:
            file.write(text)

    def add_worker(self, environment: Environment) -> None:
        """Record the environment of a cluster's worker in ``workers.jsonl``. Raises StoreError."""
        path = self.path / WORKERS
        with self._failing(path), path.open("ab") as file:
            file.write(msgspec.json.encode(environment) + b"\n")

    @property
    def console(self) -> Path:
        """The file with the kernel messages of virtual machines."""
        return self.path / CONSOLE

    def discard_if_empty(self) -> bool:
        """Remove the folder if it has no finished run; return whether it was removed."""
        if self._there():
            return False
        self._discard()
        return True

    def _discard(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):  # other results of the experiment may be in it
            self.path.parent.rmdir()

    def _run(self, number: int) -> Path:
        return self.path / RUNS / f"{number:04d}"

    def _begun(self, number: int) -> Path:
        return self.path / RUNS / f".{number:04d}"

    def _read(
        self,
        name: str,
        type_: type[T],
        upgraded: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> T:
        """Read a file; ``upgraded`` converts the contents of earlier schemas."""
        path = self.path / name
        try:
            content = octets(path)
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error
        schema = schema_of(content, path, SCHEMA)
        with _decoding(path):
            if schema < SCHEMA and upgraded is not None:
                return msgspec.convert(upgraded(msgspec.json.decode(content)), type_)
            return msgspec.json.decode(content, type=type_)

    def _keep(self, files: Collection[str]) -> None:
        if files:
            (self.path / FILES).mkdir()
        for number, name in enumerate(files, 1):
            copy = self._copy(number, name).relative_to(self.path)
            self._write(str(copy), Path(name).read_bytes())

    def copies(self, files: Collection[str]) -> dict[str, Path]:
        """Return the path of the copy of each file that the folder has a copy of.

        :param files: the files that the folder was created with, in the same order.
        """
        found = {name: self._copy(number, name) for number, name in enumerate(files, 1)}
        return {name: copy for name, copy in found.items() if copy.is_file()}

    def _copy(self, number: int, name: str) -> Path:
        return self.path / FILES / f"{number:02}-{Path(name).name}"

    def _write(self, name: str, content: bytes) -> None:
        """Write a file under a temporary name and rename it, which is atomic in POSIX."""
        path = self.path / name
        temporary = path.with_name(f".{path.name}.new")
        with self._failing(path):
            try:
                with temporary.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise

    @contextlib.contextmanager
    def _failing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"{path} cannot be written: {error.strerror}", hint=self.advice
            ) from error

    @property
    def advice(self) -> str:
        """The remedy if the folder cannot be written."""
        if self._there():
            return "finished runs are kept; do the rest with `testbed run --resume`"
        return "no run is stored yet; make room, or choose another --results"


def now() -> str:
    """Return the current time in UTC as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _entry(record: RunRecord) -> Entry:
    return Entry(run=record.number, status=record.status, seconds=record.seconds)


@contextlib.contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """Report what cannot be decoded as damage of a file."""
    try:
        yield
    except DAMAGED as error:
        raise StoreError(f"{path} is damaged: {error}") from error


@contextlib.contextmanager
def _passed_on(on_damage: OnDamage | None) -> Iterator[None]:
    """Pass an error to ``on_damage`` instead of raising it, if the caller gave that."""
    try:
        yield
    except StoreError as error:
        if on_damage is None:
            raise
        on_damage(error)


def _pretty(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"
