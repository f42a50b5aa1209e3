"""The sent and unacknowledged data, and its known state.

This is the scoreboard of RFC 6675 with the transmit times of RFC 8985. Each octet is in flight,
lost or selectively acknowledged. ``in_flight`` is the *pipe* of RFC 6675.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Final

from testbed.stack.ranges import Ranges
from testbed.stack.tcp.congestion.control import Loss
from testbed.stack.tcp.sent import Fate, Progress, Sent

# The limit of records.  A peer can make segments small by its MSS option.  No more than this
# number are outstanding at a time, for any window.
MOST_RECORDS: Final = 1 << 14

_start = attrgetter("start")


class Scoreboard:
    """All records between SND.UNA and SND.NXT, in order.

    Cumulative ACKs pop from the left. SACK blocks touch only the records that they newly cover. The
    records in flight are also in a ring, in the order of their last transmission.

    :ivar resent_in_flight: the number of retransmitted records in flight.
    :ivar total_lost: the number of all octets marked lost.
    """

    __slots__ = ("_losses", "_lost_starts", "_ring", "_sacked_ranges", "in_flight", "lost",
                 "lost_again", "records", "resent_in_flight", "sacked", "total_lost")  # fmt: skip

    def __init__(self) -> None:
        self.records: list[Sent] = []
        self.lost_again = 0
        self.in_flight = 0
        self.lost = 0
        self.sacked = 0
        self.resent_in_flight = 0
        self.total_lost = 0
        self._losses: list[Loss] | None = None  # losses that have not been reported
        self._ring = Sent.ring()
        self._lost_starts: list[int] = []  # a heap; entries may be out of date
        self._sacked_ranges: Ranges | None = None  # made when data is selectively acknowledged

    @property
    def span_ns(self) -> int:
        """The time between the departures of the oldest and the newest record."""
        records = self.records
        return records[-1].sent_ns - records[0].sent_ns if records else 0

    def add(self, record: Sent) -> None:
        """Record a first transmission."""
        self.records.append(record)
        record.follow(self._ring.older)
        self.in_flight += record.end - record.start

    def resend(self, record: Sent, now: int, progress: Progress, piece: int) -> None:
        """Record the retransmission of a record."""
        length = record.end - record.start
        if record.fate is Fate.LOST:
            self.lost -= length
            self.in_flight += length
        else:
            record.unlink()
            self.resent_in_flight -= record.resent
        record.again(now, progress, piece)
        self.resent_in_flight += 1
        record.follow(self._ring.older)

    def acknowledge(self, position: int) -> list[Sent]:
        """Drop the records before ``position``; return those that are newly delivered."""
        records = self.records
        delivered = []
        count = 0
        while count < len(records) and records[count].start < position:
            record = records[count]
            if record.end > position:
                self._split(count, position)
            count += 1
            if record.fate is Fate.SACKED:
                self.sacked -= record.end - record.start
            else:
                self._leave(record)
                delivered.append(record)
        del records[:count]
        if self._sacked_ranges:
            self._sacked_ranges.remove_before(position)
        return delivered

    def sack(self, blocks: Iterable[tuple[int, int]]) -> list[Sent]:
        """Mark the records of SACK blocks as delivered; return the newly marked ones in order.

        Only whole segments count: no correct peer has received a part of one.
        """
        delivered: list[Sent] = []
        for start, end in sorted(blocks):
            known = self._sacked_ranges.around(start) if self._sacked_ranges else None
            if known is not None:
                start = known[1]  # noqa: PLW2901 - what lies before is no news
            if start < end:
                self._sack(start, end, delivered)
        return delivered

    def mark_lost(self, record: Sent) -> None:
        """Mark a record in flight as lost."""
        self._leave(record)
        record.becomes(Fate.LOST)
        length = record.end - record.start
        self.lost += length
        self.total_lost += length
        self.lost_again += record.resent
        heapq.heappush(self._lost_starts, record.start)
        self._note_loss(record)

    def take_losses(self) -> tuple[Loss, ...]:
        """Return the records marked lost since the last call."""
        if not self._losses:
            return ()
        losses, self._losses = tuple(self._losses), None
        return losses

    def mark_all_lost(self) -> None:
        """Mark all records that are not delivered as lost, after the expiry of the RTO.

        A receiver may drop data that it has selectively acknowledged (RFC 2018, section 8). It did
        so if the first record is selectively acknowledged: then all its SACK blocks are ignored.
        """
        if self.records and self.records[0].fate is Fate.SACKED:
            self._sacked_ranges = None
            for record in self.records:
                if record.fate is Fate.SACKED:
                    self.sacked -= record.end - record.start
                    self._back_in_flight(record)
        for record in self.records:
            if record.fate is Fate.IN_FLIGHT:
                self.mark_lost(record)

    def mark_all_in_flight(self) -> None:
        """Mark all lost records as in flight again: they were only late."""
        for record in self.records:
            if record.fate is Fate.LOST:
                self.lost -= record.end - record.start
                self._back_in_flight(record)
        self._lost_starts.clear()

    def next_lost(self) -> Sent | None:
        """Return the first lost record."""
        heap = self._lost_starts
        while heap:
            record = self._find(heap[0])
            if record is not None and record.fate is Fate.LOST:
                return record
            heapq.heappop(heap)
        return None

    def by_time(self) -> Iterator[Sent]:
        """Yield the records in flight in the order of transmission. A yielded one may be marked."""
        ring = self._ring
        record = ring.newer
        while record is not ring:
            newer = record.newer
            yield record
            record = newer

    def cut(self, record: Sent, length: int) -> None:
        """Split a record after ``length`` octets of payload."""
        index = bisect_right(self.records, record.start, key=_start) - 1
        self._split(index, record.start + length)

    def take_back(self, position: int) -> list[Sent]:
        """Remove and return the records from the start of a record on."""
        index = bisect_right(self.records, position - 1, key=_start)
        taken = self.records[index:]
        for record in taken:
            self._leave(record)
        del self.records[index:]
        return taken

    def clear(self) -> None:
        """Forget everything."""
        if self.in_flight:
            for record in self.by_time():
                record.unlink()
        self.records.clear()
        self._losses = None
        self._lost_starts.clear()
        self._sacked_ranges = None
        self.in_flight = self.lost = self.sacked = self.resent_in_flight = 0

    def drop(self) -> None:
        """Break the cycles of references for the end: the ring has no sentinel any more."""
        self.clear()
        self._ring.unlink()

    def _note_loss(self, record: Sent) -> None:
        _, _, _, limited, in_flight, lost = record.progress
        if self._losses is None:
            self._losses = []
        loss = Loss(record.start, record.end, in_flight, self.total_lost - lost, limited)
        self._losses.append(loss)

    def _find(self, start: int) -> Sent | None:
        index = bisect_right(self.records, start, key=_start) - 1
        if index < 0 or self.records[index].start != start:
            return None
        return self.records[index]

    def _sack(self, start: int, end: int, delivered: list[Sent]) -> None:
        """Mark the whole segments of a range whose first octet was not marked."""
        records = self.records
        index = max(0, bisect_right(records, start, key=_start) - 1)
        record = records[index]
        if record.start < start:
            start += (record.start - start) % record.piece
            if start < min(record.end, end):
                self._split(index, start)
            index += 1
        marked = first = records[index].start if index < len(records) else end
        while index < len(records) and records[index].start < end:
            record = records[index]
            if record.end > end:
                stop = _whole(record, end)
                if stop == record.start:
                    break
                self._split(index, stop)
            if record.fate is not Fate.SACKED:
                self._leave(record)
                record.becomes(Fate.SACKED)
                self.sacked += record.end - record.start
                delivered.append(record)
            marked = record.end
            index += 1
        self._sacked_ranges = self._sacked_ranges or Ranges()
        self._sacked_ranges.add(first, marked)

    def _split(self, index: int, position: int) -> None:
        record = self.records[index]
        rest = record.cut(position)
        self.records.insert(index + 1, rest)
        if rest.fate is Fate.LOST:
            heapq.heappush(self._lost_starts, position)
        elif rest.fate is Fate.IN_FLIGHT:
            rest.follow(record)
            self.resent_in_flight += rest.resent

    def _back_in_flight(self, record: Sent) -> None:
        record.becomes(Fate.IN_FLIGHT)
        self.in_flight += record.end - record.start
        self.resent_in_flight += record.resent
        record.follow(self._ring.older)

    def _leave(self, record: Sent) -> None:
        """Subtract a record from the sums before its state changes."""
        length = record.end - record.start
        if record.fate is Fate.LOST:
            self.lost -= length
        else:
            self.in_flight -= length
            self.resent_in_flight -= record.resent
            record.unlink()


def _whole(record: Sent, end: int) -> int:
    """Return the end of the last whole segment of a record before ``end``."""
    if end >= record.start + len(record.payload):
        return end
    return end - (end - record.start) % record.piece
