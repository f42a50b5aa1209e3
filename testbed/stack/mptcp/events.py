"""The events of a connection for the application."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from testbed.stack.connection import (
    Closed,
    Connected,
    ConnectionFailure,
    Delivered,
    Event,
    Readable,
    Writable,
)
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.streams import ReceiveStream, SendStream
from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.tcp.connection import room_below

_WORTH_WRITING: Final = 8  # a fraction of the buffer whose room wakes the application


class Events:
    """A queue of events; the application is told again only after it has acted on the last one.

    :param config: says how much may be written.
    """

    __slots__ = (
        "_enough",
        "_incoming",
        "_lowat",
        "_outgoing",
        "_queue",
        "_starved",
        "_subflows",
        "_told_readable",
    )

    def __init__(
        self,
        outgoing: SendStream,
        incoming: ReceiveStream,
        subflows: Sequence[Subflow],
        config: MptcpConfig,
    ) -> None:
        self._outgoing = outgoing
        self._incoming = incoming
        self._subflows = subflows
        self.go_by(config)
        self._queue: list[Event] = []
        self._starved = False  # the application wants room
        self._told_readable = False

    def go_by(self, config: MptcpConfig) -> None:
        """Take another configuration."""
        self._enough = config.send_buffer // _WORTH_WRITING
        self._lowat = config.tcp.notsent_lowat

    def next(self) -> Event | None:
        """Return one thing that happened, or ``None``."""
        return self._queue.pop(0) if self._queue else None

    def wrote(self, taken: int, offered: int) -> None:
        """Take that ``taken`` of the octets offered have found room."""
        self._starved |= taken < offered

    def read(self, octets: int) -> None:
        """Take that the application has read; the end of the stream is told once."""
        if octets:
            self._told_readable = False

    def connected(self) -> None:
        """Tell that data can flow."""
        self._queue.append(Connected())

    @property
    def room(self) -> int:
        """Octets that may be written, as far as the limit of what was not sent is concerned."""
        segment = max((one.segment_size for one in self._subflows), default=0)
        return room_below(self._lowat, self._notsent, segment)

    def report(self) -> None:
        """Tell the application what it waits for."""
        if not self._told_readable and (self._incoming.readable or self._incoming.finished):
            self._told_readable = True
            self._queue.append(Readable())
        few = not self._lowat or 2 * self._notsent < self._lowat  # as in Linux
        if self._starved and few and self._outgoing.room >= self._enough:
            self._starved = False
            self._queue.append(Writable())

    def delivered(self) -> None:
        """Tell that the peer has acknowledged everything."""
        self._queue.append(Delivered())

    def closed(self, failure: ConnectionFailure | None) -> None:
        """Tell that nothing more happens."""
        if not self._told_readable:
            self._queue.append(Readable())
        self._queue.append(Closed(failure))

    @property
    def _notsent(self) -> int:
        """Octets that were written and have not left once; after a fallback TCP has them."""
        return self._outgoing.unsent + sum(one.tcp.queued for one in self._subflows if one.fallback)
