"""Reads the state of other processes' sockets without their help.

pidfd_getfd(2) duplicates a descriptor of another process into ours. getsockopt(2) on it returns the
same values as for the owner. The duplicate is closed at once: a connection is shut down when its
last descriptor is closed, so an open duplicate would delay the owner's FIN.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from testbed import sockinfo
from testbed.probe.nodes import Nodes, Process

T = TypeVar("T")

_PIDFD_GETFD: Final = 438  # the same number on every architecture
_libc = ctypes.CDLL(None, use_errno=True)


def connected(
    nodes: Nodes, protocol: int, describe: Callable[[socket.socket, dict[str, Any]], T]
) -> Iterator[T]:
    """Describe every connected stream socket of a protocol that a process of a node has.

    A socket that several processes share is described once. A socket that is closed during the
    search is left out.

    :param protocol: ``IPPROTO_TCP`` or ``IPPROTO_MPTCP``.
    :param describe: called with a duplicate of the socket and the fields of a SocketRecord.
    """
    done: set[int] = set()
    for process in nodes.processes:
        for fd, inode in _descriptors(process.pid):
            if inode not in done:
                done.add(inode)
                described = _described(process, fd, inode, protocol, describe)
                if described is not None:
                    yield described


def _described(
    process: Process,
    fd: int,
    inode: int,
    protocol: int,
    describe: Callable[[socket.socket, dict[str, Any]], T],
) -> T | None:
    with contextlib.suppress(OSError), _duplicate(process, fd) as sock:
        if sock.type == socket.SOCK_STREAM and sock.proto == protocol:
            about = {
                "t_ns": time.monotonic_ns(),
                "node": process.node,
                "pid": process.pid,
                "process": process.name,
                "inode": inode,
                "local": sockinfo.address_text(sock.getsockname()),
                "remote": sockinfo.address_text(sock.getpeername()),
            }
            return describe(sock, about)
    return None


def _descriptors(pid: int) -> Iterator[tuple[int, int]]:
    """Yield the number and inode of each descriptor of a process that is a socket."""
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # the process has closed this descriptor
                status = entry.stat()
                if stat.S_ISSOCK(status.st_mode):
                    yield int(entry.name), status.st_ino


def _duplicate(process: Process, fd: int) -> socket.socket:
    number = _libc.syscall(_PIDFD_GETFD, process.pidfd, fd, 0)
    if number < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return socket.socket(fileno=number)
