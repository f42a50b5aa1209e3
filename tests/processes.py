"""Processes of this machine, known by a word in the environment of all that a test starts."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterable
from pathlib import Path


def marked(mark: str) -> dict[int, str]:
    """Return what lives with ``TESTBED_MARK`` set to a mark: pid -> command line."""
    found = {}
    word = f"TESTBED_MARK={mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # the process has ended, or belongs to another user
            if word in (folder / "environ").read_bytes().split(b"\0"):
                text = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(folder.name)] = text
    return found


def until_gone(pids: Iterable[int]) -> None:
    """Wait until processes are no more; each has 20 seconds."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ended = select.select([descriptor], [], [], 20)[0]
        os.close(descriptor)
        assert ended, pid
