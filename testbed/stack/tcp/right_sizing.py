"""Dynamic right-sizing: a receive window that grows with the rate of the application.

M. Fisk, W. Feng, "Dynamic right-sizing in TCP", LACSI 2001; the rules are those of Linux
(``tcp_rcv_space_adjust``, ``tcp_rcv_rtt_measure``).
"""

from __future__ import annotations

from typing import Final

from testbed.stack.tcp.timestamps import Timestamping

_INITIAL_SEGMENTS: Final = 10
_SPARE_SEGMENTS: Final = 16
_UNUSED: Final = 16  # less than 1/16 of a window does not make it grow


class WindowMemory:
    """The budget by which the windows of all connections of an endpoint may grow.

    It corresponds to ``tcp_mem`` of tcp(7). When it is used up, no window grows.

    :ivar left: the remaining octets.
    """

    __slots__ = ("left",)

    def __init__(self, octets: int) -> None:
        self.left = octets

    def take(self, octets: int) -> int:
        """Take octets for a window, at most the remaining ones; return how many."""
        taken = min(octets, self.left)
        self.left -= taken
        return taken

    def give_back(self, octets: int) -> None:
        """Return the octets of an ended connection."""
        self.left += octets


def begins(position: int, capacity: int) -> bool:
    """Return whether enough data has arrived to adjust a window of this capacity.

    Before that a connection, which may stay idle, has no state for the growth of its window.
    """
    return position * _UNUSED >= capacity


class RightSizing:
    """Determines the size of a receive window.

    An application reads in a round trip what the peer sends in one, unless the window limits the
    peer. So the window is twice that amount, and more while the amount grows. It does not grow for
    an application that does not read.

    :param initial: the initial size in octets. ``limit`` is the greatest size.
    :param memory: the budget for its growth.
    :param position: the position up to which everything was read.
    :ivar capacity: the present size in octets. It never shrinks.
    :ivar due_ns: the time of the next adjustment.
    """

    __slots__ = ("_begun_ns", "_limit", "_memory", "_most", "_position", "_taken", "capacity",
                 "due_ns")  # fmt: skip

    def __init__(self, initial: int, limit: int, memory: WindowMemory, position: int = 0) -> None:
        self.capacity = min(initial, limit)
        self.due_ns = 0
        self._limit = limit
        self._memory = memory
        self._taken = 0
        self._begun_ns: int | None = None  # start of the round trip
        self._position = position  # position read at that time
        self._most = 0  # most octets read in a round trip

    def adjust(self, position: int, rtt: int | None, segment: int, now: int) -> None:
        """Adjust the size once a round trip by the data that was read.

        :param position: the position up to which everything was read.
        :param rtt: the receiver's round-trip time, ``None`` before a measurement. ``segment`` is
            the size of a segment in octets.
        """
        if self._begun_ns is None:
            self._begun_ns = now
            self._most = min(_INITIAL_SEGMENTS * segment, self.capacity)
        if rtt is None:
            return
        if now - self._begun_ns < rtt:
            self.due_ns = self._begun_ns + rtt
            return
        read = position - self._position
        self._begun_ns, self._position = now, position
        self.due_ns = now + rtt
        if read <= self._most:
            return
        wanted = 2 * read + _SPARE_SEGMENTS * segment
        wanted += 2 * wanted * (read - self._most) // self._most
        self._most = read
        more = self._memory.take(max(0, min(wanted, self._limit) - self.capacity))
        self._taken += more
        self.capacity += more

    def release(self) -> None:
        """Return the memory of its growth."""
        self._memory.give_back(self._taken)
        self._taken = 0


class ReceiveRtt:
    """The round-trip time measured by a receiver that sends no data.

    With timestamps it is measured by the first echo of a timestamp. Otherwise it is the shortest
    time in which a window of data has arrived.

    :ivar value: ``None`` before a measurement.
    """

    __slots__ = ("_begun_ns", "_echo", "_edge", "value")

    def __init__(self) -> None:
        self.value: int | None = None
        self._echo = 0  # the timestamp that was echoed last
        self._begun_ns: int | None = None
        self._edge = 0  # right edge of the window when this measurement began

    def echoed(self, stamps: Timestamping, now: int) -> None:
        """Process the timestamp of the present segment."""
        came = stamps.came
        if came is None or came.echo == self._echo:
            return
        self._echo = came.echo
        sent_ns = stamps.answered_ns
        if sent_ns is None:
            return
        rtt, value = now - sent_ns, self.value
        self.value = max(1, rtt if value is None else value + (rtt - value) // 8)

    def arrived(self, position: int, edge: int, now: int) -> None:
        """Record that everything before a position has arrived, for peers without timestamps.

        :param edge: the right edge of the window.
        """
        if self._begun_ns is not None:
            if position < self._edge:
                return
            taken = max(1, now - self._begun_ns)
            self.value = taken if self.value is None else min(self.value, taken)
        self._begun_ns, self._edge = now, edge
