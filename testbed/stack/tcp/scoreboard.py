"""What has been sent and not yet acknowledged, and what is known of its fate.

RFC 6675's scoreboard, with the transmit times of RFC 8985.  Every octet is in flight, lost or
selectively acknowledged; ``in_flight`` is the *pipe* of RFC 6675.
"""

from __future__ import annotations

import enum
import heapq
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any

from testbed.stack.packet.segment import FIN
from testbed.stack.ranges import Ranges


class Fate(enum.Enum):
    """What is known of a record."""

    IN_FLIGHT = enum.auto()
    LOST = enum.auto()  # and not sent again since
    SACKED = enum.auto()


class Sent:
    """One transmission: ``payload`` is at ``start``; SYN and FIN take one position each."""

    __slots__ = (
        "end",
        "ext",
        "fate",
        "flags",
        "payload",
        "progress",
        "resent",
        "sent_ns",
        "start",
    )

    def __init__(
        self, start: int, end: int, payload: bytes, ext: Any, flags: int, sent_ns: int
    ) -> None:
        self.start = start
        self.end = end
        self.payload = payload
        self.ext = ext
        self.flags = flags
        self.sent_ns = sent_ns
        self.fate = Fate.IN_FLIGHT
        self.resent = False
        self.progress = (0, 0, 0)  # of the connection when it left: see DeliveryRate


_start = attrgetter("start")


class Scoreboard:
    """All records between SND.UNA and SND.NXT, in order.

    Cumulative ACKs pop from the left, SACK blocks touch only what they newly cover, and the
    records in flight are also kept in the order of their last transmission.
    """

    __slots__ = ("_lost_starts", "_sacked_ranges", "by_time", "in_flight", "lost", "records",
                 "sacked")  # fmt: skip

    def __init__(self) -> None:
        self.records: deque[Sent] = deque()
        self.by_time: dict[Sent, None] = {}  # those in flight, the longest ago sent first
        self.in_flight = 0
        self.lost = 0
        self.sacked = 0
        self._lost_starts: list[int] = []  # a heap; entries may be out of date
        self._sacked_ranges = Ranges()

    def add(self, record: Sent) -> None:
        """Note a first transmission."""
        self.records.append(record)
        self.by_time[record] = None
        self.in_flight += record.end - record.start

    def resend(self, record: Sent, now: int) -> None:
        """Note that a record leaves again."""
        length = record.end - record.start
        if record.fate is Fate.LOST:
            self.lost -= length
            self.in_flight += length
        record.fate = Fate.IN_FLIGHT
        record.resent = True
        record.sent_ns = now
        self.by_time.pop(record, None)
        self.by_time[record] = None

    def acknowledge(self, position: int) -> list[Sent]:
        """Drop all before ``position``; return the records that were not yet known delivered."""
        records = self.records
        delivered = []
        while records and records[0].start < position:
            record = records[0]
            if record.end > position:
                self._split(0, position)
            records.popleft()
            if record.fate is Fate.SACKED:
                self.sacked -= record.end - record.start
            else:
                self._leave(record)
                delivered.append(record)
        if self._sacked_ranges:
            self._sacked_ranges.remove_before(position)
        return delivered

    def sack(self, blocks: Iterable[tuple[int, int]]) -> list[Sent]:
        """Mark what blocks say has arrived; return the records newly marked, in order."""
        delivered = []
        for start, end in sorted(blocks):
            for gap_start, gap_end in self._sacked_ranges.add(start, end):
                for record in self._records_in(gap_start, gap_end):
                    self._leave(record)
                    record.fate = Fate.SACKED
                    self.sacked += record.end - record.start
                    delivered.append(record)
        return delivered

    def mark_lost(self, record: Sent) -> None:
        """Note that a record in flight has been lost."""
        self._leave(record)
        record.fate = Fate.LOST
        self.lost += record.end - record.start
        heapq.heappush(self._lost_starts, record.start)

    def mark_all_lost(self) -> None:
        """Note that whatever is not known delivered has been lost (the RTO has expired).

        A receiver may drop what it has selectively acknowledged (RFC 2018, section 8).  It has
        if the first record is among that: then nothing it said counts.
        """
        if self.records and self.records[0].fate is Fate.SACKED:
            self._sacked_ranges.clear()
            for record in self.records:
                if record.fate is Fate.SACKED:
                    self.sacked -= record.end - record.start
                    self._back_in_flight(record)
        for record in self.records:
            if record.fate is Fate.IN_FLIGHT:
                self.mark_lost(record)

    def mark_all_in_flight(self) -> None:
        """Take back that records are lost: they had only been slow."""
        for record in self.records:
            if record.fate is Fate.LOST:
                self.lost -= record.end - record.start
                self._back_in_flight(record)

    def next_lost(self) -> Sent | None:
        """Return the first lost record."""
        heap = self._lost_starts
        while heap:
            record = self._find(heap[0])
            if record is not None and record.fate is Fate.LOST:
                return record
            heapq.heappop(heap)
        return None

    def cut(self, record: Sent, length: int) -> None:
        """Shorten a record to ``length`` octets of payload; the rest becomes a record after it."""
        index = bisect_right(self.records, record.start, key=_start) - 1
        self._split(index, record.start + length)

    def clear(self) -> None:
        """Forget everything."""
        self.records.clear()
        self.by_time.clear()
        self._lost_starts.clear()
        self._sacked_ranges.clear()
        self.in_flight = self.lost = self.sacked = 0

    def _find(self, start: int) -> Sent | None:
        index = bisect_right(self.records, start, key=_start) - 1
        if index < 0 or self.records[index].start != start:
            return None
        return self.records[index]

    def _records_in(self, start: int, end: int) -> Iterator[Sent]:
        """Yield the records of a range that is not selectively acknowledged, cut to it."""
        records = self.records
        index = max(0, bisect_right(records, start, key=_start) - 1)
        if records and records[index].start < start < records[index].end:
            self._split(index, start)
            index += 1
        while index < len(records) and records[index].start < end:
            if records[index].end > end:
                self._split(index, end)
            yield records[index]
            index += 1

    def _split(self, index: int, position: int) -> None:
        record = self.records[index]
        length = position - record.start
        rest = Sent(
            position, record.end, record.payload[length:], record.ext, record.flags, record.sent_ns
        )
        rest.fate, rest.resent, rest.progress = record.fate, record.resent, record.progress
        record.end = position
        record.payload = record.payload[:length]
        record.flags &= ~FIN
        self.records.insert(index + 1, rest)
        if rest.fate is Fate.LOST:
            heapq.heappush(self._lost_starts, position)
        elif rest.fate is Fate.IN_FLIGHT:
            self._insert_by_time(record, rest)

    def _insert_by_time(self, record: Sent, rest: Sent) -> None:
        if next(reversed(self.by_time)) is record:
            self.by_time[rest] = None
            return
        ordered = list(self.by_time)
        ordered.insert(ordered.index(record) + 1, rest)
        self.by_time = dict.fromkeys(ordered)

    def _back_in_flight(self, record: Sent) -> None:
        record.fate = Fate.IN_FLIGHT
        self.in_flight += record.end - record.start
        self.by_time[record] = None

    def _leave(self, record: Sent) -> None:
        """Take a record that is about to change its fate out of the sums."""
        length = record.end - record.start
        if record.fate is Fate.LOST:
            self.lost -= length
        else:
            self.in_flight -= length
            del self.by_time[record]
