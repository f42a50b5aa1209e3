"""The counters of programs on our own stack in the nodes, which report them (``testbed.host``)."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from testbed.mib import OWN, OwnCounters

_MOST: Final = 256  # programs of a node that have not reported their end
_DATAGRAM: Final = 1 << 16


class Counted:
    """The counters of the programs of one node.

    :param listener: the socket of :func:`listen`.
    """

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        # Counters by program, in the order of first reports.
        self._there: dict[str, Mapping[str, int]] = {}
        self._over: Counter[str] = Counter()  # the sums of all ended programs

    def take(self) -> None:
        """Receive the reports that have arrived."""
        while True:
            try:
                told = msgspec.json.decode(self.listener.recv(_DATAGRAM), type=OwnCounters)
            except BlockingIOError:
                return
            except msgspec.DecodeError:
                continue  # the datagram is not from our own stack
            self._there[told.source] = told.values
            if told.over:
                self._end(told.source)
            elif len(self._there) > _MOST:  # the oldest was killed, or will continue as a new one
                self._end(next(iter(self._there)))

    def total(self) -> dict[str, int]:
        """Return the sums of all programs, including ended ones."""
        self.take()
        total = Counter(self._over)
        for values in self._there.values():
            total.update(values)
        return dict(total)

    def _end(self, source: str) -> None:
        self._over.update(self._there.pop(source))


def listen() -> socket.socket:
    """Return the socket for the reports of programs in this network namespace."""
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    found.bind(OWN)
    return found
