"""Sockets of the kernel whose every write ends a record."""

from __future__ import annotations

import socket
import weakref
from collections.abc import Iterable
from typing import Any, Final

# Those that are open, by descriptor: asyncio hands out wrappers of sockets.
_OPEN: Final[weakref.WeakValueDictionary[int, RecordSocket]] = weakref.WeakValueDictionary()


class RecordSocket(socket.socket):
    """A TCP socket that sends with MSG_EOR of send(2): no segment has octets of two writes.

    What it accepts does so, too.  asyncio may write at once what it was given in several writes,
    if the socket took nothing meanwhile.
    """

    def __init__(self, *what: Any) -> None:
        super().__init__(*what)
        _OPEN[self.fileno()] = self

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection, and where it comes from."""
        plain, remote = super().accept()
        timeout = plain.gettimeout()
        accepted = RecordSocket(self.family, self.type, self.proto, plain.detach())
        accepted.settimeout(timeout)
        return accepted, remote

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Write a record, or its beginning: what the kernel does not take does not end there."""
        return super().send(data, flags | socket.MSG_EOR)

    def sendmsg(self, buffers: Iterable[Any], *_: Any) -> int:
        """Write the first of several records."""
        return self.send(next(iter(buffers)))

    def sendto(self, data: Any, *where: Any) -> int:
        """Write a record when connecting; as the method of a socket with flags."""
        flags, address = where
        return super().sendto(data, flags | socket.MSG_EOR, address)


def ends_records(sock: socket.socket) -> bool:
    """Tell whether each write to a socket ends a record; it may be asyncio's wrapper of it."""
    number = sock.fileno()
    found = _OPEN.get(number)
    return found is not None and found.fileno() == number
