"""Connections in TIME-WAIT, and the SYNs that reopen them (RFC 9293, section 3.6.1; RFC 6191)."""

from __future__ import annotations

from typing import Final

from testbed.packet.options import Timestamps, find
from testbed.packet.segment import ACK, RST, SYN, Segment
from testbed.packet.sequence import BITS_32
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.state import State

# Of more than this the oldest ends early; Linux has such a limit, too (tcp_max_tw_buckets).
MOST_TIME_WAIT: Final = 1 << 14


class TimeWait:
    """The connections of an endpoint in TIME-WAIT, in the order in which they entered it.

    Programs cannot limit their number, as they have ended for programs.

    :param most: the greatest number of connections.
    """

    __slots__ = ("_connections", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._connections: dict[TcpConnection, None] = {}

    def add(self, connection: TcpConnection) -> TcpConnection | None:
        """Add a connection, if it is new; remove and return the oldest if there are too many."""
        self._connections[connection] = None
        if len(self._connections) <= self._most:
            return None
        oldest = next(iter(self._connections))
        del self._connections[oldest]
        return oldest

    def remove(self, connection: TcpConnection) -> None:
        """Remove a connection, if it is there."""
        self._connections.pop(connection, None)


def is_new_incarnation(connection: TcpConnection, syn: Segment) -> bool:
    """Return whether a segment is a SYN that may reopen a connection in TIME-WAIT (RFC 6191)."""
    if connection.state is not State.TIME_WAIT or syn.flags & (SYN | ACK | RST) != SYN:
        return False
    timestamps = find(syn.options, Timestamps)
    if timestamps is not None and connection.config.timestamps:
        if not connection.timestamps.used:
            return True
        age = (timestamps.value - connection.timestamps.recent) & BITS_32
        if age:
            return bool(age < 1 << 31)
    return connection.position_of(syn) > connection.receiver.next


def next_isn(connection: TcpConnection) -> int:
    """Return an initial sequence number above all that a connection has used."""
    return (connection.sender.base + connection.sender.next + 0x10000) & BITS_32
