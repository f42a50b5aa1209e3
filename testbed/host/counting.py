"""Reports the counters of an endpoint to its sandbox, for ``testbed doctor``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Mapping
from typing import Final

import msgspec

from testbed.mib import OWN, OwnCounters
from testbed.stack.connection import Endpoint

_EVERY_S: Final = 1.0
_NODE: Final = "TESTBED_NODE"  # set where a program runs in a node (``testbed exec``)


class Counting:
    """Reports the counters of one endpoint each second if they have changed, and at the end.

    Outside of a sandbox nothing listens, and it does nothing.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._source = secrets.token_hex(8)
        self._told: Mapping[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._socket = _connected() if _NODE in os.environ else None
        self._look()

    def close(self) -> None:
        """Report for the last time."""
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            self._tell(self._socket, over=True)
            self._socket.close()
            self._socket = None

    def _look(self) -> None:
        if self._socket is not None:
            self._tell(self._socket, over=False)
            self._timer = asyncio.get_running_loop().call_later(_EVERY_S, self._look)

    def _tell(self, listener: socket.socket, *, over: bool) -> None:
        values = self._endpoint.counters
        if over or values != self._told:
            self._told = values
            told = OwnCounters(source=self._source, values=values, over=over)
            with contextlib.suppress(OSError):  # the sandbox may be ending
                listener.send(msgspec.json.encode(told))


def _connected() -> socket.socket | None:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        found.connect(OWN)
    except OSError:
        found.close()
        return None
    return found
