"""The two data streams of a connection (RFC 8684, section 3.3).

A position is a plain integer. Position 0 is the first octet of data, whose data sequence number is
the IDSN plus 1: MP_CAPABLE occupies the IDSN, as SYN occupies a sequence number. DATA_FIN occupies
the position after the last octet.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from testbed.packet.sequence import BITS_32, BITS_64, expand, expand_64
from testbed.stack.ranges import Ranges
from testbed.stack.reassembly import Reassembly

# How far data may lie beyond the window: windows on the wire are in units of up to 2**14 octets,
# which TCP rounds up where the right edge would move back otherwise (RFC 7323, section 2.3).
_ROUNDING: Final = 1 << 14
_JOINED: Final = 16 * 1024  # smaller writes are merged


class DataSequence:
    """Converts positions to data sequence numbers and back.

    :param initial: the IDSN of the stream's sender.
    """

    __slots__ = ("_first",)

    def __init__(self, initial: int) -> None:
        self._first = initial + 1

    def number(self, position: int, *, wide: bool = True) -> int:
        """Return the data sequence number of a position in 64 bits, or its lowest 32 bits."""
        return (self._first + position) & (BITS_64 if wide else BITS_32)

    def position(self, number: int, *, wide: bool, near: int) -> int:
        """Return the position of a data sequence number that is closest to the position ``near``.

        This extends 32 bits to 64 safely, because a window is far smaller than half of the range of
        32 bits (section 3.3.1).
        """
        near += self._first
        return (expand_64(number, near) if wide else expand(number, near)) - self._first


class SendStream:
    """The sent data of the application, until it has a Data ACK.

    :param capacity: the size of the buffer in octets.
    """

    __slots__ = (
        "_again",
        "_capacity",
        "_chunks",
        "_ends",
        "_starts",
        "closed",
        "edge",
        "end",
        "fin_acked",
        "fin_sent",
        "gaps",
        "next",
        "una",
    )

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._starts: list[int] = []
        self._chunks: list[bytes | bytearray | memoryview] = []
        # Ends of records from una on; None: there never was one.
        self._ends: list[int] | None = None
        self.una = 0  # everything before is acknowledged
        self.next = 0  # subflows got everything before, except ``gaps``
        self.gaps: Ranges | None = None  # pieces that a scheduler skipped; None: it never did
        self.end = 0  # everything before was written
        self.edge = 0  # right edge of the peer's window: nothing from here on may be sent
        self.closed = False  # nothing more will be written: DATA_FIN is at ``end``
        self.fin_sent = False
        self.fin_acked = False
        self._again: Ranges | None = None  # data marked for another subflow (reinjection)

    def resize(self, capacity: int) -> None:
        """Set the size of the buffer. Data that was written stays."""
        self._capacity = capacity

    @property
    def room(self) -> int:
        """How many octets ``write`` would take."""
        return max(0, self._capacity - (self.end - self.una))

    @property
    def sendable(self) -> int:
        """How many octets inside the window were never given to a subflow."""
        left_out = sum(end - start for start, end in self.gaps) if self.gaps else 0
        return max(0, min(self.end, self.edge) - self.next) + left_out

    @property
    def unsent(self) -> int:
        """How many octets were never given to a subflow, inside the window or not."""
        left_out = sum(end - start for start, end in self.gaps) if self.gaps else 0
        return self.end - self.next + left_out

    @property
    def fresh(self) -> tuple[int, int]:
        """The first piece inside the window that was never given to a subflow."""
        first = self.gaps.first() if self.gaps else None
        return first or (self.next, max(self.next, min(self.end, self.edge)))

    def piece(self, start: int) -> tuple[int, int]:
        """Return the end of the piece at a position, without and with the limit of the window.

        A piece ends at the next gap, a gap at its end, and both at the end of the record.
        """
        around = self.gaps.around(start) if self.gaps else None
        end, limit = (around[1], around[1]) if around else (self.end, min(self.end, self.edge))
        if self._ends:
            record = self.record_end(start)
            end, limit = min(end, record), min(limit, record)
        return end, limit

    def record_end(self, position: int) -> int:
        """Return the end of the record around a position."""
        ends = self._ends
        index = bisect_right(ends, position) if ends else 0
        return ends[index] if ends and index < len(ends) else self.end

    def ends_record(self, position: int) -> bool:
        """Return whether a record ends at a position."""
        ends = self._ends
        return bool(ends and ends[bisect_right(ends, position) - 1] == position)

    def close(self) -> None:
        """Record that nothing more will be written."""
        self.closed = True

    def give(self, start: int, length: int) -> None:
        """Record data that was given to a subflow."""
        if start > self.next:
            self.gaps = self.gaps or Ranges()
            self.gaps.add(self.next, start)
        elif self.gaps:
            self.gaps.remove(start, start + length)
        self.next = max(self.next, start + length)

    @property
    def marked(self) -> tuple[int, int] | None:
        """The first piece that is marked for another subflow, or ``None``."""
        return self._again.first() if self._again else None

    def mark(self, start: int, end: int) -> None:
        """Mark data for another subflow (reinjection)."""
        self._again = self._again or Ranges()
        self._again.add(start, end)

    def unmark(self, start: int, end: int) -> None:
        """Remove the mark of data that was given to a subflow."""
        if self._again:
            self._again.remove(start, end)

    def unmark_all(self) -> None:
        """Remove all marks."""
        self._again = None

    def send_fin(self) -> None:
        """Record that DATA_FIN was sent."""
        self.fin_sent = True

    def open_window(self, edge: int) -> None:
        """Set the right edge of the peer's window, which never moves back."""
        if edge > self.edge:
            self.edge = edge

    def leave_window_to_tcp(self) -> None:
        """Remove the limit of the shared window: after a fallback only TCP's window counts."""
        self.edge = self.end

    def end_acked(self) -> None:
        """Record that TCP has acknowledged the end of the stream after a fallback."""
        self.fin_acked = self.closed

    def write(self, data: bytes | memoryview, *, eor: bool = False) -> int:
        """Append as many octets as the buffer has room for; return how many.

        A view of them is kept, so they must not change.

        :param eor: whether a record ends after them, if all are taken.
        """
        eor = eor and len(data) <= self.room
        data = data[: self.room]
        if data:
            last = self._chunks[-1] if self._chunks else None
            if isinstance(last, bytearray) and len(last) < _JOINED:
                last += data
            else:
                self._starts.append(self.end)
                self._chunks.append(bytearray(data) if len(data) < _JOINED else data)
            self.end += len(data)
            if eor:
                if self._ends is None:
                    self._ends = []
                self._ends.append(self.end)
        return len(data)

    def skip(self, octets: int) -> None:
        """Drop the first octets, which no subflow was given. Later octets take their positions."""
        if not octets:
            return
        gone = bisect_right(self._starts, octets) - 1 if octets < self.end else len(self._starts)
        del self._chunks[:gone]
        if self._chunks:
            self._chunks[0] = self._chunks[0][octets - self._starts[gone] :]
        self._starts = [max(0, start - octets) for start in self._starts[gone:]]
        if self._ends:
            self._ends = [end - octets for end in self._ends if end > octets]
        self.end -= octets

    def peek(self, start: int, most: int) -> bytes:
        """Return at most this many octets from position ``start``, and at least one if possible."""
        index = bisect_right(self._starts, start) - 1
        chunk = self._chunks[index]
        at = start - self._starts[index]
        piece = bytes(chunk[at : at + most])
        if len(piece) < most and index + 1 < len(self._chunks):
            return piece + self.peek(start + len(piece), most - len(piece))
        return piece

    def acked(self, position: int) -> None:
        """Free the data before an acknowledged position."""
        if self.fin_sent and position == self.end + 1:
            self.fin_acked = True
            position = self.end
        if position <= self.una:
            return
        self.una = position
        self.next = max(self.next, position)
        if self._again:
            self._again.remove_before(position)
        if self.gaps:
            self.gaps.remove_before(position)
        gone = bisect_right(self._starts, position) - 1
        if position == self.end:
            gone = len(self._starts)
        del self._starts[:gone], self._chunks[:gone]
        if self._ends:
            del self._ends[: bisect_right(self._ends, position)]


class ReceiveStream:
    """The received data of the peer, until the application reads it.

    :ivar capacity: the number of octets between the read position and the right edge of the window.
    """

    __slots__ = ("_data", "_early", "capacity", "fin")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._data = Reassembly()
        self._early = b""  # data of the SYN, before position 0 (appendix B)
        self.fin: int | None = None  # position of DATA_FIN, once it is known

    def grow(self, capacity: int) -> None:
        """Enlarge the window to this many octets. It never shrinks."""
        self.capacity = max(self.capacity, capacity)

    @property
    def next(self) -> int:
        """The next expected position."""
        return self._data.next

    @property
    def ack(self) -> int:
        """The position of a Data ACK, which includes DATA_FIN once all data has arrived."""
        position = self._data.next
        return position + 1 if position == self.fin else position

    @property
    def edge(self) -> int:
        """The right edge of the window. It never moves back."""
        return self._data.next - self._data.readable + self.capacity

    @property
    def window(self) -> int:
        """Octets of the window."""
        return max(0, self.capacity - self._data.readable)

    @property
    def taken(self) -> int:
        """The position before which everything was read."""
        return self._data.next - self._data.readable

    @property
    def readable(self) -> int:
        """How many octets can be read."""
        return self._data.readable + len(self._early)

    @property
    def out_of_order(self) -> int:
        """How many octets have arrived out of order."""
        return self._data.out_of_order

    @property
    def has_gaps(self) -> bool:
        """Whether data has arrived out of order."""
        return self._data.out_of_order > 0

    @property
    def latest(self) -> int:
        """The position after the last octet that has arrived."""
        return self._data.end

    @property
    def finished(self) -> bool:
        """Whether everything up to DATA_FIN has arrived."""
        return self.fin == self._data.next

    def begin(self, early: bytes) -> None:
        """Insert the data of the peer's SYN, which precedes the data stream."""
        self._early = early

    def near(self, position: int) -> bool:
        """Return whether a position is plausible, even if some of our Data ACKs were lost."""
        most = self.capacity + _ROUNDING  # the limit of data beyond the last octet in order
        return self.next - most <= position <= self.edge + _ROUNDING

    def insert(self, start: int, data: bytes) -> None:
        """Insert data at position ``start``."""
        limit = self.edge + _ROUNDING if self.fin is None else self.fin
        if start + len(data) > limit:
            data = data[: max(0, limit - start)]
        self._data.add(start, data)

    def finish(self, position: int) -> None:
        """Record the position of DATA_FIN.

        The first one counts, unless it contradicts data that has arrived.
        """
        if self.fin is not None:
            return
        if self._data.end <= position <= self.edge + _ROUNDING:
            self.fin = position

    def forget_end(self) -> None:
        """Discard the position of DATA_FIN, unless all data before it has arrived."""
        if not self.finished:
            self.fin = None

    def read(self, limit: int) -> bytes:
        """Return at most ``limit`` octets in order."""
        if not self._early:
            return self._data.read(limit)
        data, self._early = self._early[:limit], self._early[limit:]
        return data + self._data.read(limit - len(data))
