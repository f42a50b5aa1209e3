"""Shares directories of this host with a guest: one virtiofsd process for each."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from testbed.errors import PlatformError
from testbed.machine import processes
from testbed.sandbox import syscalls

# QEMU 7's own, the one written in Rust, and the path of the latter in other distributions.
_PLACES: Final = ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd", "/usr/lib/virtiofsd")
# The host does not change files that a guest reads, so the guest may cache them:
# Python starts in 0.4 s instead of 2.5 s.
_OPTIONS: Final = "cache=always,sandbox=chroot,log_level=err"


def daemon() -> str | None:
    """Return the path of virtiofsd, or ``None`` if it is not installed."""
    return next(filter(shutil.which, _PLACES), shutil.which("virtiofsd"))


@contextlib.contextmanager
def share(directory: Path, log: IO[bytes], *, writable: bool) -> Iterator[socket.socket]:
    """Serve a directory; yield the connection for QEMU.

    The socket is closed and virtiofsd ends with this context, and with this process.

    :param log: the file for virtiofsd's messages.
    :param writable: whether virtiofsd may write; if not, its mounts are read-only.
    :raises PlatformError: virtiofsd is missing.
    """
    program = daemon()
    if program is None:
        raise PlatformError(
            "virtiofsd is missing",
            why="a guest sees this host's files through it",
            instead="apt install qemu-system-common (Debian 12) or virtiofsd",
        )
    listener, connection = _pair()
    with listener, connection:
        source = str(directory).replace(",", "\\,")
        child = processes.start(
            [program, f"--fd={listener.fileno()}", "-o", f"source={source},{_OPTIONS}"],
            descriptors=(listener.fileno(),),
            output=log,
            before=None if writable else _refuse_writing,
        )
        try:
            yield connection
        finally:
            _end(child)


def _pair() -> tuple[socket.socket, socket.socket]:
    """Return a listening socket and a connection to it. Its name is removed."""
    listener = socket.socket(socket.AF_UNIX)
    connection = socket.socket(socket.AF_UNIX)
    with tempfile.TemporaryDirectory(prefix="testbed-") as scratch:
        path = str(Path(scratch, "virtiofs"))
        listener.bind(path)
        listener.listen(1)
        connection.connect(path)
    return listener, connection


def _refuse_writing() -> None:
    """Make every mount read-only for this process."""
    if os.geteuid() == 0:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
        syscalls.make_read_only("/")


def _end(child: subprocess.Popen[bytes]) -> None:
    """Wait a second for virtiofsd, which ends with its guest, and then kill it."""
    try:
        child.wait(timeout=1)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
        child.wait()
