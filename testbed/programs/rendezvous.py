"""Creates pairs of Unix sockets of which one end already exists in a program."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Final

_QUEUE: Final = 4096  # connections; net.core.somaxconn limits it
_CREDENTIALS: Final = struct.Struct("=iII")  # struct ucred


class Rendezvous:
    """A listening Unix socket for connections from programs' sockets, all made by this process.

    Every process of the network namespace sees the abstract name, so the peer of each connection is
    checked.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        name_and_listen(self._socket)

    def close(self) -> None:
        """Close the listening socket. Existing pairs stay."""
        self._socket.close()

    def join(self, end: socket.socket) -> socket.socket:
        """Connect an unconnected socket, and return the other end, which is non-blocking.

        :raises OSError: the socket is connected.
        """
        end.connect(self._socket.getsockname())
        while True:
            near, _ = self._socket.accept()
            if is_own(near):
                near.settimeout(0)
                return near
            near.close()


def is_own(end: socket.socket) -> bool:
    """Return whether this process connected the other end (SO_PEERCRED)."""
    found = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return bool(_CREDENTIALS.unpack(found)[0] == os.getpid())


def name_and_listen(sock: socket.socket) -> None:
    """Give a Unix socket an abstract name that the kernel chooses, and listen."""
    sock.bind("")
    sock.listen(_QUEUE)


def fill(end: socket.socket) -> int:
    """Write to one end of a pair until it is not writable; return how many octets were written.

    A Unix socket is writable as long as its unread data takes a quarter of its buffer or less
    (``unix_writable``, net/unix/af_unix.c).
    """
    size = end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 4 + 1
    try:
        return end.send(bytes(size), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EPIPE):
            return 0
        raise
