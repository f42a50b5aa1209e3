"""A receive window that grows with what the application reads: dynamic right-sizing.

M. Fisk, W. Feng, "Dynamic right-sizing in TCP", LACSI 2001; the rules are those of Linux
(``tcp_rcv_space_adjust``, ``tcp_rcv_rtt_measure``).
"""

from __future__ import annotations

from typing import Final

from testbed.stack.tcp.timestamps import Timestamping

_INITIAL_SEGMENTS: Final = 10
_SPARE_SEGMENTS: Final = 16
_UNUSED: Final = 16  # less than that part of a window does not make it grow


class WindowMemory:
    """By how much the windows of all connections of an endpoint may grow together.

    Linux has ``tcp_mem`` of tcp(7) for that: when it is used up, no window grows any more.

    :ivar left: octets.
    """

    __slots__ = ("left",)

    def __init__(self, octets: int) -> None:
        self.left = octets

    def take(self, octets: int) -> int:
        """Take so many octets for a window, or what is left; return how many."""
        taken = min(octets, self.left)
        self.left -= taken
        return taken

    def give_back(self, octets: int) -> None:
        """Take octets back: the connection is over."""
        self.left += octets


def begins(position: int, capacity: int) -> bool:
    """Tell whether so much has come that a window of that capacity is worth looking at.

    Until then a connection, which may stay idle, keeps nothing for its window's growth.
    """
    return position * _UNUSED >= capacity


class RightSizing:
    """How many octets a window may have.

    What an application reads in a round trip is what the peer sends in one, unless the window holds
    the peer back: so the window is twice that, and more while it grows.  For an application that
    does not read it does not grow.

    :param initial: octets to begin with; ``limit``: never more than that.
    :param memory: what it grows by comes from there.
    :param position: everything before it has been read already.
    :ivar capacity: octets for now; it does not shrink.
    :ivar due_ns: before that time there is nothing to look at.
    """

    __slots__ = ("_begun_ns", "_limit", "_memory", "_most", "_position", "_taken", "capacity",
                 "due_ns")  # fmt: skip

    def __init__(self, initial: int, limit: int, memory: WindowMemory, position: int = 0) -> None:
        self.capacity = min(initial, limit)
        self.due_ns = 0
        self._limit = limit
        self._memory = memory
        self._taken = 0
        self._begun_ns: int | None = None  # of the round trip
        self._position = position  # what had been read then
        self._most = 0  # octets read in a round trip

    def adjust(self, position: int, rtt: int | None, segment: int, now: int) -> None:
        """Look once a round trip at what was read.

        :param position: everything before it has been read.
        :param rtt: of the receiver, ``None`` before a measurement; ``segment`` octets are in one.
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
        """Give the memory back: nothing more comes."""
        self._memory.give_back(self._taken)
        self._taken = 0


class ReceiveRtt:
    """The round-trip time as a receiver sees it, who sends nothing that is acknowledged.

    A timestamp that the peer echoes for the first time tells it.  Without timestamps it is the
    shortest time that a window's worth has taken to come.

    :ivar value: ``None`` before a measurement.
    """

    __slots__ = ("_begun_ns", "_echo", "_edge", "value")

    def __init__(self) -> None:
        self.value: int | None = None
        self._echo = 0  # the timestamp that was echoed last
        self._begun_ns: int | None = None
        self._edge = 0  # what comes before it was allowed when the window's worth began

    def echoed(self, stamps: Timestamping, now: int) -> None:
        """Take what the timestamp of the segment at hand says."""
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
        """Take that everything before a position is there, where no timestamp tells more.

        :param edge: of the window.
        """
        if self._begun_ns is not None:
            if position < self._edge:
                return
            taken = max(1, now - self._begun_ns)
            self.value = taken if self.value is None else min(self.value, taken)
        self._begun_ns, self._edge = now, edge
