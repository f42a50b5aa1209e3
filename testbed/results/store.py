"""The folder of one experiment's results.

::

    experiment.json          what was asked for, complete
    environment.json         where it ran
    manifest.jsonl           which runs are over
    workers.jsonl            the environment of each worker of a cluster that got runs
    files/01-link.csv        copies of the files that it names: traces of links, pages
    runs/0001/run.json       one run; a run without this file did not finish
    runs/0001/series.jsonl   what the probes saw, one JSON object a line
    runs/0001/samples.json   single latencies or delays, where the workload has them
    runs/0001/...            logs and packet captures
    summary.json             what `testbed show` says, written at the end

Each file but the manifest, and each run's directory, appears at once and whole, or not at all, so
that a folder is readable at any moment: after Ctrl-C, on a full disk, while it is being copied.  A
run that is done again replaces the old one when it is over.  Until then its files are in
``runs/.0001``.  Nothing in the folder names a place outside, except the files that the experiment
names.  Should the machine lose power, runs of the last half minute may be lost if they took less
than :data:`FLUSH_S` seconds each; they are then to do again.
"""

from __future__ import annotations

import contextlib
import errno
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
from testbed.records import Record, read
from testbed.results import upgrade
from testbed.results.environment import Environment
from testbed.results.manifest import NAME, Entry, Manifest, octets
from testbed.results.model import SCHEMA, ExperimentRecord, RunRecord
from testbed.results.replacing import replace_directory

FLUSH_S: Final = 1.0  # a flush takes milliseconds, as much as all else that is done for a run
_NO_NAMES: Final = ("", ".", "..")
RUNS: Final = "runs"
RUN: Final = "run.json"
FILES: Final = "files"
WORKERS: Final = "workers.jsonl"
CONSOLE: Final = "console.log"

T = TypeVar("T")

# Is told of a file that is damaged; then the others are read.
OnDamage = Callable[[StoreError], None]


class Store:
    """One result folder; :meth:`create` a new one or :meth:`open` one that exists."""

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
        """Make ``root/NAME/UTC-HASH``, where HASH is of the specification.

        :param environment: where it runs; ``None``: :meth:`describe` will say it.
        :param files: those of which the folder keeps a copy, numbered in this order.
        :raises InputError: it cannot be written, for example without permission, or the
            experiment has a name that would lead elsewhere.
        """
        if experiment.name in _NO_NAMES or "/" in experiment.name:
            raise InputError(
                f"no folder can have the experiment's name, {experiment.name!r}",
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
        """Note where it runs.  Raises StoreError."""
        self._write("environment.json", _pretty(environment))

    @property
    def described(self) -> bool:
        """Whether it is known where it runs."""
        return (self.path / "environment.json").exists()

    @classmethod
    def open(cls, path: Path) -> Store:
        """Return an existing folder.

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
        """Read what was asked for.  Raises StoreError."""
        return self._read("experiment.json", ExperimentRecord)

    def environment(self) -> Environment:
        """Read where it ran.  Raises StoreError."""
        return self._read("environment.json", Environment)

    def runs(self, on_damage: OnDamage | None = None) -> list[RunRecord]:
        """Read the runs that finished, in order.

        :param on_damage: is told of each file that cannot be read, instead of an error.
        :raises StoreError: one cannot be read.
        """
        found: list[RunRecord] = []
        for number in self.over(on_damage):
            with _passed_on(on_damage):
                found.append(self.run(number))
        return found

    def run(self, number: int) -> RunRecord:
        """Read one run that finished.  Raises StoreError."""
        return self._read(f"{RUNS}/{number:04d}/{RUN}", RunRecord, self._upgraded)

    def series(self, number: int, on_damage: OnDamage | None = None) -> tuple[Record, ...]:
        """Read what the probes of a run saw, in the order of time; nothing if no file says it.

        :param on_damage: is told that it cannot be read, instead of an error.
        :raises StoreError: it cannot be read.
        """
        path = self._run(number) / "series.jsonl"
        found: tuple[Record, ...] = ()
        with _passed_on(on_damage):
            try:
                found = tuple(read(octets(path)))
            except FileNotFoundError:
                pass
            except OSError as error:
                raise StoreError(f"{path} cannot be read: {error.strerror}") from error
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise StoreError(f"{path} is damaged: {error}") from error
        return found

    def samples(self, number: int) -> dict[str, list[int]]:
        """Read single latencies and delays of a run in nanoseconds, by name; nothing without them.

        :raises StoreError: it cannot be read.
        """
        path = self._run(number) / "samples.json"
        try:
            return msgspec.json.decode(octets(path), type=dict[str, list[int]])
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise StoreError(f"{path} is damaged: {error}") from error

    def over(self, on_damage: OnDamage | None = None) -> dict[int, Entry]:
        """Return what is known of the runs that are over, by number.

        A copy may hold only some of them.  What the manifest does not say is read from the runs.

        :param on_damage: is told of each file that cannot be read, instead of an error.
        :raises StoreError: one cannot be read.
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
        """Return the numbers of the runs that the folder holds."""
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
        """Be the only one that writes runs to the folder.

        :raises InputError: another process does.
        :raises StoreError: it cannot be written there.
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
        """Remove what runs that did not end have left."""
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
            return True  # its reader gets the error

    def _upgraded(self, run: dict[str, Any]) -> dict[str, Any]:
        return upgrade.run(run, self._spec)

    @functools.cached_property
    def _spec(self) -> dict[str, Any]:
        return self.experiment().spec

    def begin_run(self, number: int) -> Path:
        """Return an empty directory for a run's files.

        What an earlier attempt at the run has stored stays until :meth:`finish_run`.

        :raises StoreError: it cannot be made.
        """
        directory = self._begun(number)
        with self._failing(directory):
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
        return directory

    def finish_run(self, record: RunRecord) -> None:
        """Store a run whose other files are in the directory that :meth:`begin_run` returned.

        :raises StoreError: it cannot be written; runs written before are as they were.
        """
        flush = time.monotonic() - self._flushed >= FLUSH_S
        begun, directory = self._begun(record.number), self._run(record.number)
        with self._failing(directory):
            try:
                (begun / RUN).write_bytes(_pretty(record))
                if flush:
                    _flush(begun)
                replace_directory(begun, directory)
            except OSError:
                shutil.rmtree(begun, ignore_errors=True)  # on a full disk room is wanted
                raise
            self._manifest.add(_entry(record))
        if flush:
            self._flushed = time.monotonic()

    def write_summary(self, summary: Any) -> None:
        """Write ``summary.json``.  Raises StoreError."""
        self._write("summary.json", _pretty(summary))

    def add_console(self, text: bytes) -> None:
        """Add what the kernel of a machine said to ``console.log``.  Raises StoreError."""
        with self._failing(self.console), self.console.open("ab") as file:
            file.write(text)

    def add_worker(self, environment: Environment) -> None:
        """Note a worker of a cluster that gets runs in ``workers.jsonl``.  Raises StoreError."""
        path = self.path / WORKERS
        with self._failing(path), path.open("ab") as file:
            file.write(msgspec.json.encode(environment) + b"\n")

    @property
    def console(self) -> Path:
        """The file of what the kernels of machines said."""
        return self.path / CONSOLE

    def discard_if_empty(self) -> bool:
        """Remove a folder in which no run ever finished; return whether that was so."""
        if self._there():
            return False
        self._discard()
        return True

    def _discard(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):  # other results of the experiment are in it
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
        """Read a file; ``upgraded`` brings the contents of earlier schemas to this one."""
        path = self.path / name
        try:
            content = octets(path)
            schema = msgspec.json.decode(content, type=_Versioned).schema
            if schema > SCHEMA:
                raise StoreError(
                    f"{path} has schema {schema}, this testbed reads up to {SCHEMA}",
                    hint="read it with a newer one",
                )
            if schema < SCHEMA and upgraded is not None:
                return msgspec.convert(upgraded(msgspec.json.decode(content)), type_)
            return msgspec.json.decode(content, type=type_)
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise StoreError(f"{path} is damaged: {error}") from error

    def _keep(self, files: Collection[str]) -> None:
        if files:
            (self.path / FILES).mkdir()
        for number, name in enumerate(files, 1):
            copy = self._copy(number, name).relative_to(self.path)
            self._write(str(copy), Path(name).read_bytes())

    def copies(self, files: Collection[str]) -> dict[str, Path]:
        """Return the folder's copy of each file that it has one of.

        :param files: those that it was created with, in this order.
        """
        found = {name: self._copy(number, name) for number, name in enumerate(files, 1)}
        return {name: copy for name, copy in found.items() if copy.is_file()}

    def _copy(self, number: int, name: str) -> Path:
        return self.path / FILES / f"{number:02}-{Path(name).name}"

    def _write(self, name: str, content: bytes) -> None:
        """Write to a temporary name and rename: POSIX makes that atomic."""
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
            return "finished runs are kept; `testbed run --resume` does the rest"
        return "no run is stored yet; make room, or choose another --results"


def now() -> str:
    """Return the time, UTC, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _entry(record: RunRecord) -> Entry:
    return Entry(run=record.number, status=record.status, seconds=record.seconds)


class _Versioned(msgspec.Struct):
    schema: int


def new_directory(parent: Path, name: str) -> Path:
    """Make ``parent/name``, or ``name.2`` ... when two start within a second.

    :raises OSError: it cannot be made.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(2, 100):
        path = parent / name
        try:
            path.mkdir()
        except FileExistsError:
            name = f"{name.partition('.')[0]}.{attempt}"
        else:
            return path
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(parent / name))


@contextlib.contextmanager
def _passed_on(on_damage: OnDamage | None) -> Iterator[None]:
    """Report an error instead of raising it, if the caller has asked for reports."""
    try:
        yield
    except StoreError as error:
        if on_damage is None:
            raise
        on_damage(error)


def _flush(directory: Path) -> None:
    """Have the files of a directory written to the disk."""
    for path in directory.iterdir():
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _pretty(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"
