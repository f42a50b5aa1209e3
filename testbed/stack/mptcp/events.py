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

_WORTH_WRITING: Final = 8  # the application wakes when 1/8 of the buffer is free


class Events:
    """A queue of events. An event repeats only after the application has acted on the last one.

    :param config: limits how much may be written.
    :ivar queue: the events that the endpoint has not taken. Only methods of this class change it.
    """

    __slots__ = (
        "_enough",
        "_incoming",
        "_lowat",
        "_outgoing",
        "_starved",
        "_subflows",
        "_told_readable",
        "queue",
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
        self.queue: list[Event] = []
        self._starved = False  # the application wants room
        self._told_readable = False

    def go_by(self, config: MptcpConfig) -> None:
        """Apply another configuration."""
        self._enough = config.send_buffer // _WORTH_WRITING
        self._lowat = config.tcp.notsent_lowat

    def take(self) -> Event:
        """Remove and return the first event of ``queue``."""
        return self.queue.pop(0)

    def wrote(self, taken: int, offered: int) -> None:
        """Record that the buffer took ``taken`` of the offered octets."""
        self._starved |= taken < offered

    def read(self, octets: int) -> None:
        """Record that the application has read. The end of the stream is reported once."""
        if octets:
            self._told_readable = False

    def connected(self) -> None:
        """Report that data can flow."""
        self.queue.append(Connected())

    @property
    def room(self) -> int:
        """How many octets may be written under the limit of unsent data."""
        segment = max((one.segment_size for one in self._subflows), default=0)
        return room_below(self._lowat, self._notsent, segment)

    def report(self) -> None:
        """Report the events that the application waits for."""
        if not self._told_readable and (self._incoming.readable or self._incoming.finished):
            self._told_readable = True
            self.queue.append(Readable())
        few = not self._lowat or 2 * self._notsent < self._lowat  # as in Linux
        if self._starved and few and self._outgoing.room >= self._enough:
            self._starved = False
            self.queue.append(Writable())

    def delivered(self) -> None:
        """Report that the peer has acknowledged everything."""
        self.queue.append(Delivered())

    def closed(self, failure: ConnectionFailure | None) -> None:
        """Report the end of the connection."""
        if not self._told_readable:
            self.queue.append(Readable())
        self.queue.append(Closed(failure))

    @property
    def _notsent(self) -> int:
        """The number of octets that were never sent. After a fallback TCP holds them."""
        return self._outgoing.unsent + sum(one.tcp.queued for one in self._subflows if one.fallback)
