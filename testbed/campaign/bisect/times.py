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


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """A file at one time.

    :param blob: git's name of its content.
    :param mtime_ns: when it was modified, since the epoch.
    """

    blob: str
    mtime_ns: int


def restore(tree: Path, record: Path) -> None:
    """Give each file whose content is that of the record the time of the record, and write it anew.

    Called after a checkout and before make, the record is about what the objects were made of.

    :param tree: a worktree as git has checked it out.
    :param record: the file of the record; without it every file keeps its time.
    :raises InputError: git cannot list the files.
    :raises OSError: the record cannot be written.
    """
    before = _read(record)
    now: dict[str, Seen] = {}
    for line in git(tree, "ls-files", "--stage", "-z").split("\0"):
        about, _, name = line.partition("\t")
        with contextlib.suppress(FileNotFoundError):  # a submodule, or left out of the checkout
            if name:
                now[name] = _restored(tree / name, about.split()[1], before.get(name))
    record.parent.mkdir(parents=True, exist_ok=True)
    draft = record.with_suffix(".new")
    draft.write_bytes(msgspec.json.encode(now))
    draft.replace(record)


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
