"""A file that is written while something runs which its disk must not disturb."""

from __future__ import annotations

from pathlib import Path

from testbed.errors import InputError, StoreError


class SideFile:
    """A capture or trace in the making: as with tee(1), what it records goes on if writing fails.

    :raises InputError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failure: OSError | None = None
        try:
            self._file = path.open("wb")
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}") from error

    def write(self, data: bytes) -> None:
        """Write, now or later; nothing after a failure."""
        if self._failure is None:
            try:
                self._file.write(data)
            except OSError as error:
                self._failure = error

    def flush(self) -> None:
        """Write now what is not written yet."""
        if self._failure is None:
            try:
                self._file.flush()
            except OSError as error:
                self._failure = error

    def close(self) -> None:
        """Write what is not written yet, and close.

        :raises StoreError: not all of it is in the file.
        """
        try:
            self._file.close()
        except OSError as error:
            self._failure = self._failure or error
        if self._failure is not None:
            why = self._failure.strerror
            raise StoreError(f"{self._path} cannot be written: {why}") from self._failure
