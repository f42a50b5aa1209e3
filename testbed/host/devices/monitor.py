"""The kernel's reports of changes of interfaces, addresses and routes (rtnetlink(7))."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import Final

from testbed.netlink.transport import NETLINK_ADD_MEMBERSHIP, SOL_NETLINK

_HEADER: Final = struct.Struct("=IHHII")  # struct nlmsghdr
_RECEIVE: Final = 1 << 16


class Monitor:
    """A netlink socket that is a member of multicast groups.

    :param groups: ``RTNLGRP_*`` of linux/rtnetlink.h.
    """

    def __init__(self, groups: Iterable[int]) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        )
        self._socket.bind((0, 0))  # the kernel sends no messages to a socket without a port
        for group in groups:
            self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)

    def fileno(self) -> int:
        """Return the descriptor that has input when something has changed."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def reports(self) -> Iterator[tuple[int, bytes] | None]:
        """Yield type and octets of each waiting message; ``None`` after a loss of messages."""
        while True:
            try:
                datagram = self._socket.recv(_RECEIVE)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                yield None
            else:
                yield from _messages(datagram)


def _messages(datagram: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset < len(datagram):
        length, kind, _, _, _ = _HEADER.unpack_from(datagram, offset)
        yield kind, datagram[offset : offset + length]
        offset += (length + 3) & ~3
