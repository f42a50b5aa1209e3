"""The reassembly of a stream from pieces that arrive in any order, repeatedly, and overlap."""

from __future__ import annotations

import itertools
from typing import Final

from testbed.stack.ranges import Ranges

_REMEMBERED: Final = 4  # blocks in order of arrival: a SACK option has room for four
# Pieces out of order that are kept.  More of them than this are no window, but an attempt to have
# memory filled by octets that come one at a time.
MOST_PIECES: Final = 1 << 14
_SMALL: Final = 512  # octets: smaller pieces in order are merged, as each costs some 40
_JOINED: Final = 16 * 1024  # octets: merged pieces grow up to here


class _Apart:
    """The octets of a stream that have arrived out of order.

    :ivar ranges: their positions. ``pieces`` are their octets by position; no two overlap.
    :ivar recent: the starts of the pieces that came last.
    """

    __slots__ = ("pieces", "ranges", "recent")

    def __init__(self) -> None:
        self.ranges = Ranges()
        self.pieces: dict[int, bytes] = {}
        self.recent: tuple[int, ...] = ()


class Reassembly:
    """The octets that have arrived, in order or not.

    Positions are those of the peer's stream. The first copy of an octet stays: an overlap is cut
    from the later piece. The caller bounds the octets: it must not add octets outside the window.
    This class bounds the number of pieces: those in order are merged by size.

    :ivar next: the position of the first missing octet.
    :ivar readable: how many octets in order are unread.
    :ivar out_of_order: how many octets have arrived out of order.
    """

    __slots__ = (
        "_apart",
        "_offset",
        "_ready",
        "next",
        "out_of_order",
        "readable",
    )

    def __init__(self) -> None:
        self.next = 0
        self.readable = 0
        self.out_of_order = 0
        # An empty list takes much less memory than an empty deque.
        self._ready: list[bytes | bytearray] = []
        self._offset = 0  # octets of the first ready piece that have been read
        self._apart: _Apart | None = None  # on most connections nothing comes out of order

    @property
    def end(self) -> int:
        """The position after the last octet that has arrived, in order or not."""
        last = None if self._apart is None else self._apart.ranges.last()
        return self.next if last is None else last[1]

    def add(self, start: int, payload: bytes) -> list[tuple[int, int]]:
        """Add octets inside the window; return their new ranges."""
        end = start + len(payload)
        if start <= self.next and not self.out_of_order:
            new = [(self.next, end)] if end > self.next else []
            if new:
                self._append(payload[self.next - start :] if start < self.next else payload)
            return new
        if start < self.next:
            payload, start = payload[self.next - start :], self.next
        if not payload:
            return []
        if self._apart is None:
            self._apart = _Apart()
        apart = self._apart
        if len(apart.pieces) >= MOST_PIECES and start > self.next:
            return []
        new = apart.ranges.add(start, end)
        for new_start, new_end in new:
            apart.pieces[new_start] = payload[new_start - start : new_end - start]
            self.out_of_order += new_end - new_start
        if start > self.next:
            apart.recent = (*apart.recent, start)[-_REMEMBERED:]
        else:
            self._join(apart)
        return new

    def truncate(self, position: int) -> None:
        """Drop the octets from ``position`` on, which must not be before ``next``."""
        apart, end = self._apart, self.end
        if apart is None or end <= position:
            return
        for start, piece in list(apart.pieces.items()):
            if start >= position:
                del apart.pieces[start]
            elif start + len(piece) > position:
                apart.pieces[start] = piece[: position - start]
            self.out_of_order -= min(len(piece), max(0, start + len(piece) - position))
        apart.ranges.remove(position, end)

    def blocks(self, limit: int) -> list[tuple[int, int]]:
        """Return the SACK blocks, the latest one first (RFC 2018, section 4)."""
        found: list[tuple[int, int]] = []
        apart = self._apart
        if apart is None:
            return found
        recent = map(apart.ranges.around, reversed(apart.recent))
        for block in itertools.chain(recent, apart.ranges.first_few(2 * limit)):
            if block is not None and block not in found:
                found.append(block)
                if len(found) == limit:
                    break
        return found

    def around(self, position: int) -> tuple[int, int] | None:
        """Return the out-of-order block that contains ``position``."""
        return None if self._apart is None else self._apart.ranges.around(position)

    def read(self, limit: int) -> bytes:
        """Remove and return at most ``limit`` octets."""
        ready = self._ready
        if not ready or limit <= 0:
            return b""
        size = len(ready[0])
        if not self._offset and (size == limit or (size < limit and len(ready) == 1)):
            self.readable -= size
            return bytes(ready.pop(0))
        parts = []
        missing = limit
        gone = 0
        while gone < len(ready) and missing:
            part = ready[gone][self._offset : self._offset + missing]
            parts.append(part)
            missing -= len(part)
            self._offset += len(part)
            if self._offset == len(ready[gone]):
                gone += 1
                self._offset = 0
        del ready[:gone]
        self.readable -= limit - missing
        return b"".join(parts)

    def take(self, limit: int) -> bytes:
        """Remove and return at most ``limit`` octets; a large piece alone, without a copy.

        It may return fewer octets than :meth:`read`.
        """
        ready = self._ready
        if ready and not self._offset and _JOINED <= len(ready[0]) < limit:
            limit = len(ready[0])
        return self.read(limit)

    def clear(self) -> None:
        """Drop everything."""
        self._ready.clear()
        self._apart = None
        self.readable = self._offset = self.out_of_order = 0

    def _append(self, payload: bytes) -> None:
        ready = self._ready
        if len(payload) < _SMALL and ready and len(ready[-1]) < _JOINED:
            last = ready[-1]
            if type(last) is not bytearray:
                last = ready[-1] = bytearray(last)
            last += payload
        else:
            ready.append(payload)
        self.next += len(payload)
        self.readable += len(payload)

    def _join(self, apart: _Apart) -> None:
        """Move the pieces that have become in order."""
        while (piece := apart.pieces.pop(self.next, None)) is not None:
            self.out_of_order -= len(piece)
            self._append(piece)
        apart.ranges.remove_before(self.next)
