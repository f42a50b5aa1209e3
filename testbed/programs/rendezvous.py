"""Making pairs of Unix sockets of which one end exists already, in a program."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Final

_QUEUE: Final = 4096  # connections; net.core.somaxconn limits it
_CREDENTIALS: Final = struct.Struct("=iII")  # struct ucred


class Rendezvous:
    """A listening Unix socket, of this process alone, that programs' sockets are connected to.

    The abstract name is seen by every process of the network namespace; who connects there is
    looked at.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        name_and_listen(self._socket)

    def close(self) -> None:
        """Close it; pairs stay."""
        self._socket.close()

    def join(self, end: socket.socket) -> socket.socket:
        """Connect a socket that is not connected, and return the other end, which does not block.

        :raises OSError: it is connected.
        """
        end.connect(self._socket.getsockname())
        while True:
            near, _ = self._socket.accept()
            if is_own(near):
                near.settimeout(0)
                return near
            near.close()


def is_own(end: socket.socket) -> bool:
    """Tell whether this process has connected the other end (SO_PEERCRED)."""
    found = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return bool(_CREDENTIALS.unpack(found)[0] == os.getpid())


def name_and_listen(sock: socket.socket) -> None:
    """Give a Unix socket an abstract name that the kernel chooses, and listen."""
    sock.bind("")
    sock.listen(_QUEUE)


def fill(end: socket.socket) -> int:
    """Write so much into one end of a pair that it is not writable; return how many octets.

    A Unix socket is writable as long as what it has written, and is not read yet, takes a quarter
    of its buffer or less (``unix_writable``, net/unix/af_unix.c).
    """
    size = end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 4 + 1
    try:
        return end.send(bytes(size), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EPIPE):
            return 0
        raise
