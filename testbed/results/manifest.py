"""The list of the finished runs of a result folder: ``manifest.jsonl``.

Each stored run adds a line. Lines never change. So one file holds the state of a folder with
thousands of runs. The process that writes to the folder holds the lock of this file.
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
    """One line of the manifest.

    :param run: the run's number.
    :param status: the outcome of the run; ``None`` if it began, which is no longer written.
    :param seconds: the duration of the run.
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
        """Whether the folder has a manifest. Folders of schema 1 have none."""
        return self._path.exists()

    def create(self) -> None:
        """Create an empty manifest.

        :raises OSError: it cannot be written.
        """
        self._path.touch()

    def over(self, on_damage: Callable[[StoreError], None] | None = None) -> dict[int, Entry]:
        """Return the last entry of each finished run, by number.

        :param on_damage: receives an error for each damaged line; without it the first one is
            raised.
        :raises StoreError: it cannot be read.
        """
        found: dict[int, Entry] = {}
        for entry in self._entries(on_damage):
            if entry.status is not None:
                found[entry.run] = entry
        return found

    def add(self, entry: Entry) -> None:
        """Add a line, completely or not at all.

        :raises OSError: it cannot be written.
        """
        with self._path.open("ab", buffering=0) as file:
            end = file.tell()
            line = self._encoder.encode(entry) + b"\n"
            try:
                while line:  # a full disk may accept a part of it
                    line = line[file.write(line) :]
            except OSError:
                os.truncate(file.fileno(), end)
                raise

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against other writers. The kernel unlocks it when this process ends.

        This removes the incomplete line of a killed writer, and damaged lines.

        :raises InputError: another process writes to the folder.
        :raises OSError: it cannot be written.
        """
        import fcntl  # noqa: PLC0415 - not on every system that can read results

        with self._path.open("ab+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"{self._path.parent} is being written by another testbed",
                    hint="wait until it ends",
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
            lines = octets(self._path).split(b"\n")[:-1]  # the rest is an incomplete line
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
    """Read a file of a folder without waiting. A FIFO in its place counts as empty.

    :raises OSError: it cannot be read.
    """
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(opened, "rb", buffering=0) as file:  # noqa: PTH123 - what is open already
        return file.readall()


def _decoded(line: bytes) -> Entry | None:
    """Return the entry of a line; ``None`` if the line is damaged."""
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
