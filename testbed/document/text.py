"""Files of text of any format, which the user names."""

from __future__ import annotations

from pathlib import Path

from testbed.document.reader import MAX_BYTES
from testbed.errors import InputError


def read_text(path: Path, hint: str | None = None) -> str:
    """Return the content of a file in UTF-8.

    :param hint: for the error.
    :raises InputError: it cannot be read, is not UTF-8 text, or is larger than ``MAX_BYTES``.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            reason = f"it is larger than {MAX_BYTES // 1024**2} MiB"
            raise InputError(f"cannot be read: {reason}", file=path, hint=hint)
        return content.decode("utf-8")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path, hint=hint) from error
    except UnicodeDecodeError as error:
        why = "it is not UTF-8 text"
        raise InputError(f"cannot be read: {why}", file=path, hint=hint) from error
