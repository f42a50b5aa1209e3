"""Which runs of a result folder were begun and which are over: ``manifest.jsonl``.

One line is added when a run begins and one when it is over; nothing is ever changed.  So the state
of a folder with thousands of runs is known from one file, and whoever writes there holds its lock.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from testbed.errors import InputError, StoreError
from testbed.results.model import Status

NAME: Final = "manifest.jsonl"


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line.

    :param run: the run's number.
    :param at: when the line was written; UTC, ISO 8601.
    :param status: what became of the run; ``None``: it begins.
    :param seconds: how long it took.
    """

    run: int
    at: str
    status: Status | None = None
    seconds: float | None = None


class Manifest:
    """The manifest of one folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._encoder = msgspec.json.Encoder()

    @property
    def exists(self) -> bool:
        """Whether there is one; folders of schema 1 have none."""
        return self._path.exists()

    def create(self) -> None:
        """Make an empty one.

        :raises OSError: it cannot be written.
        """
        self._path.touch()

    def over(self) -> dict[int, Entry]:
        """Return the runs that are over, by number: the last attempt at each.

        A run that was begun again is not over until that attempt is.

        :raises StoreError: it cannot be read.
        """
        found: dict[int, Entry] = {}
        for entry in self._entries():
            if entry.status is None:
                found.pop(entry.run, None)
            else:
                found[entry.run] = entry
        return dict(sorted(found.items()))

    def add(self, entry: Entry) -> None:
        """Add a line.

        :raises OSError: it cannot be written.
        """
        with self._path.open("ab") as file:
            file.write(self._encoder.encode(entry) + b"\n")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing to the folder; the kernel unlocks it when we die.

        What a writer that was killed left of a line is gone afterwards.

        :raises InputError: another process writes there.
        :raises OSError: it cannot be written.
        """
        import fcntl  # noqa: PLC0415 - not on every system that can read results

        with self._path.open("ab+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"{self._path.parent} is being written by another testbed",
                    hint="wait for its end",
                ) from None
            file.seek(0)
            whole = file.read().rfind(b"\n") + 1
            file.truncate(whole)
            yield

    def _entries(self) -> Iterator[Entry]:
        try:
            lines = self._path.read_bytes().split(b"\n")[:-1]  # after the last one is a torn line
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{self._path} cannot be read: {error.strerror}") from error
        decoder = msgspec.json.Decoder(Entry)
        for number, line in enumerate(lines, 1):
            try:
                yield decoder.decode(line)
            except msgspec.DecodeError as error:
                raise StoreError(f"{self._path}:{number} is damaged: {error}") from error
