"""The input of commands: files of the command line, or standard input."""

from __future__ import annotations

import sys
from pathlib import Path


def octets(file: Path, most: int) -> bytes:
    """Return the content of a file; ``-`` means standard input.

    :raises InputError: it cannot be read, or is larger than ``most`` octets.
    """
    from testbed.errors import InputError

    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(most + 1)
        else:
            with file.open("rb") as opened:
                data = opened.read(most + 1)
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror}", file=file) from error
    if len(data) > most:
        raise InputError(f"it is larger than {most // 2**20} MiB", file=file)
    return data
