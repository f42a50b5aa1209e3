"""The modification times of a worktree's files, kept from one search to the next.

make(1) compiles a file again if it is newer than its object.  git-checkout(1) gives the present
time to each file that it writes, so all of a new worktree would be compiled again.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from testbed.campaign.bisect.commits import git
from testbed.replacing import replace_file


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """The content and time of a file.

    :param blob: git's name of its content.
    :param mtime_ns: its modification time in nanoseconds since the epoch.
    """

    blob: str
    mtime_ns: int


def restore(tree: Path, record: Path) -> None:
    """Restore the recorded time of each file with unchanged content, and write a new record.

    If it is called after a checkout and before make, the record describes the sources of the
    objects.

    :param tree: a worktree as git has checked it out.
    :param record: the file of the record. If it is missing, every file keeps its time.
    :raises InputError: git cannot list the files.
    :raises OSError: the record cannot be written.
    """
    before = _read(record)
    now: dict[str, Seen] = {}
    for line in git(tree, "ls-files", "--stage", "-z").split("\0"):
        about, _, name = line.partition("\t")
        with contextlib.suppress(FileNotFoundError):  # a submodule, or not in the checkout
            if name:
                now[name] = _restored(tree / name, about.split()[1], before.get(name))
    record.parent.mkdir(parents=True, exist_ok=True)
    replace_file(record, msgspec.json.encode(now))


def _restored(path: Path, blob: str, before: Seen | None) -> Seen:
    mtime_ns = path.lstat().st_mtime_ns
    if before is None or before.blob != blob or before.mtime_ns == mtime_ns:
        return Seen(blob=blob, mtime_ns=mtime_ns)
    os.utime(path, ns=(before.mtime_ns, before.mtime_ns), follow_symlinks=False)
    return before


def _read(record: Path) -> dict[str, Seen]:
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(record.read_bytes(), type=dict[str, Seen])
    return {}
