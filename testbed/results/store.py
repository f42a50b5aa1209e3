"""The folder of one experiment's results.

::

    experiment.json          what was asked for, complete
    environment.json         where it ran
    manifest.jsonl           which runs were begun, which are over
    runs/0001/run.json       one run; a run without this file did not finish
    runs/0001/series.jsonl   what the probes saw, one JSON object a line
    runs/0001/samples.json   single latencies or delays, where the workload has them
    runs/0001/...            logs and packet captures
    summary.json             what `testbed show` says, written at the end

Each file but the manifest appears at once and whole, or not at all, so that a folder is readable at
any moment: after Ctrl-C, on a full disk, while it is being copied.  Nothing in it names a place
outside, except the files of traces.  Should the machine lose power, runs of the last half minute
may be lost if they took less than :data:`FLUSH_S` seconds each; they are then to do again.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from testbed.errors import InputError, StoreError
from testbed.records import Record, read
from testbed.results import upgrade
from testbed.results.environment import Environment
from testbed.results.manifest import NAME, Entry, Manifest
from testbed.results.model import SCHEMA, ExperimentRecord, RunRecord

FLUSH_S: Final = 1.0  # a flush takes milliseconds, as much as all else that is done for a run
_NO_NAMES: Final = ("", ".", "..")

T = TypeVar("T")


class Store:
    """One result folder; :meth:`create` a new one or :meth:`open` one that exists."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._manifest = Manifest(path)
        self._flushed = time.monotonic()

    @classmethod
    def create(cls, root: Path, experiment: ExperimentRecord, environment: Environment) -> Store:
        """Make ``root/NAME/UTC-HASH``, where HASH is of the specification.

        :param environment: where it runs.
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
        try:
            store = cls(_new_directory(root / experiment.name, name))
            store._write("experiment.json", _pretty(experiment))
            store._write("environment.json", _pretty(environment))
            store._manifest.create()
        except (OSError, StoreError) as error:
            why = error.strerror if isinstance(error, OSError) else error.message
            raise InputError(
                f"results cannot be written to {root}: {why}", hint="choose another --results"
            ) from error
        return store

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

    def runs(self) -> list[RunRecord]:
        """Read the runs that finished, in order.  Raises StoreError."""
        return [self.run(number) for number in self.over()]

    def run(self, number: int) -> RunRecord:
        """Read one run that finished.  Raises StoreError."""
        return self._read(_place(number, "run.json"), RunRecord, self._upgraded)

    def series(self, number: int) -> tuple[Record, ...]:
        """Read what the probes of a run saw, in the order of time; nothing if no file says it.

        :raises StoreError: it cannot be read.
        """
        path = self.path / _place(number, "series.jsonl")
        try:
            return tuple(read(path.read_bytes()))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoreError(f"{path} is damaged: {error}") from error

    def over(self) -> dict[int, Entry]:
        """Return what the manifest says of the runs that are over, by number.  Raises StoreError.

        A copy may hold only some of them.
        """
        if self._manifest.exists:
            over = self._manifest.over()
            return {number: entry for number, entry in over.items() if self._holds(number)}
        names = (path.parent.name for path in self.path.glob("runs/*/run.json"))
        numbers = sorted(int(name) for name in names if name.isdecimal())
        return {number: _entry(self.run(number)) for number in numbers}  # of schema 1

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only one that writes runs to the folder.

        :raises InputError: another process does.
        :raises StoreError: nobody can write there.
        """
        with contextlib.ExitStack() as held:
            with _failing(self.path / NAME):
                if not self._manifest.exists:
                    before = self.over()
                    self._manifest.create()
                    for entry in before.values():
                        self._manifest.add(entry)
                held.enter_context(self._manifest.locked())
            yield

    def _holds(self, number: int) -> bool:
        try:
            return (self.path / _place(number, "run.json")).stat().st_size > 0
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True  # whoever reads it is told why that cannot be

    def _upgraded(self, run: dict[str, Any]) -> dict[str, Any]:
        return upgrade.run(run, self._spec())

    @functools.cache  # noqa: B019 - lives as long as the object
    def _spec(self) -> dict[str, Any]:
        return self.experiment().spec

    def begin_run(self, number: int) -> Path:
        """Return an empty directory for a run's files; what an earlier attempt left is gone.

        :raises StoreError: it cannot be made.
        """
        directory = (self.path / _place(number, "run.json")).parent
        with _failing(directory):
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
            self._manifest.add(Entry(run=number, at=now()))
        return directory

    def finish_run(self, record: RunRecord, files: Mapping[str, bytes]) -> None:
        """Write a run, ``run.json`` last, as it says that the run is complete.

        :param files: what else belongs into its directory, by name.
        :raises StoreError: it cannot be written; runs written before are as they were.
        """
        flush = time.monotonic() - self._flushed >= FLUSH_S
        for name, content in files.items():
            self._write(_place(record.number, name), content, flush=flush)
        place = _place(record.number, "run.json")
        self._write(place, _pretty(record), flush=flush)
        with _failing(self.path / place):
            self._manifest.add(_entry(record))
        if flush:
            self._flushed = time.monotonic()

    def write_summary(self, summary: Any) -> None:
        """Write ``summary.json``.  Raises StoreError."""
        self._write("summary.json", _pretty(summary))

    def discard_if_empty(self) -> bool:
        """Remove a folder in which no run ever finished; return whether that was so."""
        if self.over():
            return False
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):  # other results of the experiment are in it
            self.path.parent.rmdir()
        return True

    def _read(
        self,
        name: str,
        type_: type[T],
        upgraded: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> T:
        """Read a file; ``upgraded`` brings the contents of earlier schemas to this one."""
        path = self.path / name
        try:
            content = path.read_bytes()
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
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoreError(f"{path} is damaged: {error}") from error

    def _write(self, name: str, content: bytes, *, flush: bool = True) -> None:
        """Write to a temporary name and rename: POSIX makes that atomic.

        :param flush: to the disk, before it is renamed.
        """
        path = self.path / name
        temporary = path.with_name(f".{path.name}.new")
        with _failing(path):
            try:
                with temporary.open("wb") as file:
                    file.write(content)
                    if flush:
                        file.flush()
                        os.fsync(file.fileno())
                temporary.replace(path)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise


def _place(number: int, name: str) -> str:
    return f"runs/{number:04d}/{name}"


def now() -> str:
    """Return the time, UTC, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _entry(record: RunRecord) -> Entry:
    return Entry(run=record.number, at=now(), status=record.status, seconds=record.seconds)


class _Versioned(msgspec.Struct):
    schema: int


def _new_directory(parent: Path, name: str) -> Path:
    """Make ``parent/name``, or ``name-2`` ... when two start within a second."""
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
def _failing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror}",
            hint="finished runs are kept; `testbed run --resume` does the rest",
        ) from error


def _pretty(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"
