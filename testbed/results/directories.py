"""Directories: their creation, and their atomic replacement."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path
from typing import Final

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2  # renameat2(2)
_CANNOT: Final = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)  # not supported


def new_directory(parent: Path, name: str) -> Path:
    """Create ``parent/name``, or ``name.2`` and so on if the name exists.

    :raises OSError: it cannot be created.
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


def flush(directory: Path) -> None:
    """Flush the files of a directory to the disk."""
    for path in directory.iterdir():
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def replace_directory(new: Path, old: Path) -> None:
    """Rename ``new`` to ``old``, and remove the directory that was there.

    At any moment one complete directory has the name. If the system cannot exchange the two,
    neither has the name for a moment.

    :raises OSError: the rename failed; then ``old`` is unchanged.
    """
    try:
        new.rename(old)  # succeeds if ``old`` does not exist or is empty
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        _exchange(new, old)
        shutil.rmtree(new, ignore_errors=True)


def _exchange(one: Path, other: Path) -> None:
    if not (sys.platform == "linux" and _renameat2(one, other)):
        between = one.with_name(f"{one.name}.old")
        other.rename(between)
        one.rename(other)
        between.rename(one)


def _renameat2(one: Path, other: Path) -> bool:
    """Exchange two names; return whether the system supports it."""
    import ctypes  # noqa: PLC0415 - takes milliseconds, and is needed with --again only

    libc = ctypes.CDLL(None, use_errno=True)
    try:
        call = libc.renameat2
    except AttributeError:
        return False
    names = os.fsencode(one), os.fsencode(other)
    if call(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    error = ctypes.get_errno()
    if error in _CANNOT:
        return False
    raise OSError(error, os.strerror(error), str(other))
