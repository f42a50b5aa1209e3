"""Kernel sockets on which each write ends a record."""

from __future__ import annotations

import socket
import weakref
from collections.abc import Iterable
from typing import Any, Final

# Open sockets by descriptor, because asyncio returns wrappers of sockets.
_OPEN: Final[weakref.WeakValueDictionary[int, RecordSocket]] = weakref.WeakValueDictionary()


class RecordSocket(socket.socket):
    """A TCP socket that sends with MSG_EOR of send(2), so no segment has octets of two writes.

    So do the sockets that it accepts. asyncio may combine several writes while the socket accepts
    no data.
    """

    def __init__(self, *what: Any) -> None:
        super().__init__(*what)
        _OPEN[self.fileno()] = self

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection, and its remote address."""
        plain, remote = super().accept()
        timeout = plain.gettimeout()
        accepted = RecordSocket(self.family, self.type, self.proto, plain.detach())
        accepted.settimeout(timeout)
        return accepted, remote

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Write a record, or only its beginning if the kernel does not accept all of it."""
        return super().send(data, flags | socket.MSG_EOR)

    def sendmsg(self, buffers: Iterable[Any], *_: Any) -> int:
        """Write the first of several records."""
        return self.send(next(iter(buffers)))

    def sendto(self, data: Any, *where: Any) -> int:
        """Write a record when connecting, like ``socket.sendto`` with flags."""
        flags, address = where
        return super().sendto(data, flags | socket.MSG_EOR, address)


def ends_records(sock: socket.socket) -> bool:
    """Return whether each write to a socket, or to asyncio's wrapper of it, ends a record."""
    number = sock.fileno()
    found = _OPEN.get(number)
    return found is not None and found.fileno() == number
