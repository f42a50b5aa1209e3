"""What programs on our own stack have counted in the nodes: they tell it (``testbed.host``)."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from testbed.mib import OWN, OwnCounters

_MOST: Final = 256  # programs of a node that have not said that they are over
_DATAGRAM: Final = 1 << 16


class Counted:
    """Of one node.

    :param listener: see :func:`listen`.
    """

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self._there: dict[str, Mapping[str, int]] = {}  # by program, the one first heard of first
        self._over: Counter[str] = Counter()  # of all that are over

    def take(self) -> None:
        """Take what has been told."""
        while True:
            try:
                told = msgspec.json.decode(self.listener.recv(_DATAGRAM), type=OwnCounters)
            except BlockingIOError:
                return
            except msgspec.DecodeError:
                continue  # not from us
            self._there[told.source] = told.values
            if told.over:
                self._end(told.source)
            elif len(self._there) > _MOST:  # the oldest was killed, or will go on as a new one
                self._end(next(iter(self._there)))

    def total(self) -> dict[str, int]:
        """Return the sums of all programs, those that are over too."""
        self.take()
        total = Counter(self._over)
        for values in self._there.values():
            total.update(values)
        return dict(total)

    def _end(self, source: str) -> None:
        self._over.update(self._there.pop(source))


def listen() -> socket.socket:
    """Return the socket on which programs in this network namespace tell their counters."""
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    found.bind(OWN)
    return found
