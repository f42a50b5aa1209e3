"""A file that is written beside other work, which its disk must not disturb."""

from __future__ import annotations

from pathlib import Path

from testbed.errors import InputError, StoreError


class SideFile:
    """A growing capture or trace. As with tee(1), the recorded work continues if writing fails.

    :raises InputError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failure: OSError | None = None
        try:
            self._file = path.open("wb")
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}") from error

    def write(self, data: bytes) -> None:
        """Write data, now or later. After a failure this does nothing."""
        if self._failure is None:
            try:
                self._file.write(data)
            except OSError as error:
                self._failure = error

    def flush(self) -> None:
        """Write the buffered data now."""
        if self._failure is None:
            try:
                self._file.flush()
            except OSError as error:
                self._failure = error

    def close(self) -> None:
        """Write the buffered data, and close the file.

        :raises StoreError: the file is incomplete.
        """
        try:
            self._file.close()
        except OSError as error:
            self._failure = self._failure or error
        if self._failure is not None:
            why = self._failure.strerror
            raise StoreError(f"{self._path} cannot be written: {why}") from self._failure
