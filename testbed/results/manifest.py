"""Which runs of a result folder are over: ``manifest.jsonl``.

One line is added when a run has been stored; nothing is ever changed.  So the state of a folder
with thousands of runs is known from one file, and the process that writes there holds its lock.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from testbed.errors import InputError, StoreError
from testbed.results.model import Status

NAME: Final = "manifest.jsonl"


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line.

    :param run: the run's number.
    :param status: what became of the run; ``None``: it began, which is written no more.
    :param seconds: how long it took.
    """

    run: int
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

    def over(self, on_damage: Callable[[StoreError], None] | None = None) -> dict[int, Entry]:
        """Return the runs that are over, by number: what was stored last.

        :param on_damage: is told of each line that is damaged, instead of an error.
        :raises StoreError: it cannot be read.
        """
        found: dict[int, Entry] = {}
        for entry in self._entries(on_damage):
            if entry.status is not None:
                found[entry.run] = entry
        return found

    def add(self, entry: Entry) -> None:
        """Add a line, the whole of it or nothing.

        :raises OSError: it cannot be written.
        """
        with self._path.open("ab", buffering=0) as file:
            end = file.tell()
            line = self._encoder.encode(entry) + b"\n"
            try:
                while line:  # a full disk may take a part of it
                    line = line[file.write(line) :]
            except OSError:
                os.truncate(file.fileno(), end)
                raise

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing to the folder; the kernel unlocks it when we die.

        What a writer that was killed left of a line is gone afterwards, and so are damaged lines.

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
            content = file.read()
            good = b"".join(line + b"\n" for line in content.split(b"\n")[:-1] if _decoded(line))
            if good != content:
                file.truncate(0)
                file.write(good)
                file.flush()
            yield

    def _entries(self, on_damage: Callable[[StoreError], None] | None) -> Iterator[Entry]:
        try:
            lines = octets(self._path).split(b"\n")[:-1]  # after the last one is a torn line
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{self._path} cannot be read: {error.strerror}") from error
        for number, line in enumerate(lines, 1):
            entry = _decoded(line)
            if entry is not None:
                yield entry
                continue
            damage = StoreError(f"{self._path}:{number} is damaged")
            if on_damage is None:
                raise damage
            on_damage(damage)


_decoder: Final = msgspec.json.Decoder(Entry)


def octets(path: Path | str) -> bytes:
    """Read a file of a folder; a FIFO in its place counts as empty, and is not waited for.

    :raises OSError: it cannot be read.
    """
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(opened, "rb", buffering=0) as file:  # noqa: PTH123 - what is open already
        return file.readall()


def _decoded(line: bytes) -> Entry | None:
    """Return what a line says; ``None`` if it is damaged."""
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
