"""``python rootless.py ARGV...``: run a program as an ordinary user, from root.

The interpreter and the project may stand where an ordinary user cannot go (a home directory of
mode 0700).  In a private mount namespace such a directory is covered with an open, empty one into
which only what is needed is bound again.  Nothing real is changed.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from testbed.sandbox import syscalls

USER = 65534  # nobody


def main(argv: list[str]) -> None:
    """Become that user and run the program."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    open_up([Path(part).resolve() for part in (*sys.path, sys.prefix, sys.base_prefix) if part])
    os.chdir("/")
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    os.execv(argv[0], argv)


def open_up(needed: list[Path]) -> None:
    """Make each path reachable for everybody."""
    handles = {path: os.open(path, os.O_PATH) for path in needed if path.exists()}
    for closed in sorted({each for path in handles for each in path.parents if shut(each)}):
        if shut(closed):  # a parent may have been covered meanwhile
            syscalls.mount("tmpfs", str(closed), "tmpfs", data="mode=755")
    for path, handle in sorted(handles.items()):
        if not path.exists():
            path.mkdir(parents=True) if is_folder(handle) else path.touch()
            syscalls.mount(
                f"/proc/self/fd/{handle}", str(path), flags=syscalls.MS_BIND | syscalls.MS_REC
            )


def shut(folder: Path) -> bool:
    """Whether an ordinary user cannot pass through a directory."""
    return folder.exists() and not folder.stat().st_mode & stat.S_IXOTH


def is_folder(handle: int) -> bool:
    """Whether a descriptor is that of a directory."""
    return stat.S_ISDIR(os.fstat(handle).st_mode)


if __name__ == "__main__":
    main(sys.argv[1:])
