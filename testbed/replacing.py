"""Files that are replaced as a whole."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file. If that fails, for example on a full disk, the old file stays complete.

    What cannot be replaced by another file is written in place: a device, a pipe, a symbolic link,
    and a file in a folder that is read-only.

    :param content: text is encoded as UTF-8.
    :raises OSError: it cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    exists = path.exists()
    fixed = path.is_symlink() or (exists and not path.is_file())
    if fixed or (exists and not os.access(path.parent, os.W_OK)):
        path.write_bytes(data)
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        draft.write_bytes(data)
        if exists:
            shutil.copymode(path, draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
