"""Putting a stream together from pieces that come in any order, more than once, and overlap."""

from __future__ import annotations

from bisect import bisect_right


class Reassembly:
    """Pieces that lie beyond the next position expected.

    What arrived first stays: an overlap is cut from the piece that comes later.  Memory is bounded
    by whoever calls: a piece outside of the window must not be added.
    """

    __slots__ = ("_pieces", "_starts", "octets")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._pieces: list[bytes] = []
        self.octets = 0  # held

    def __bool__(self) -> bool:
        return bool(self._starts)

    def add(self, start: int, data: bytes) -> None:
        """Keep a piece that begins at ``start``."""
        index = bisect_right(self._starts, start)
        if index:
            start, data = _cut_front(start, data, self._end(index - 1))
        while data and index < len(self._starts):
            gap = self._starts[index] - start
            if gap >= len(data):
                break
            if gap:
                self._insert(index, start, data[:gap])
                index += 1
            start, data = _cut_front(start, data, self._end(index))
            index += 1
        if data:
            self._insert(index, start, data)

    def take(self, position: int) -> list[bytes]:
        """Return, and keep no longer, the pieces that follow ``position`` without a gap."""
        taken: list[bytes] = []
        count = 0
        for start, data in zip(self._starts, self._pieces, strict=True):
            if start > position:
                break
            count += 1
            self.octets -= len(data)
            _, rest = _cut_front(start, data, position)
            if rest:
                taken.append(rest)
                position += len(rest)
        del self._starts[:count], self._pieces[:count]
        return taken

    def ranges(self) -> list[tuple[int, int]]:
        """Return what is held as ranges of positions, those that touch as one."""
        found: list[tuple[int, int]] = []
        for start, data in zip(self._starts, self._pieces, strict=True):
            end = start + len(data)
            if found and found[-1][1] == start:
                found[-1] = (found[-1][0], end)
            else:
                found.append((start, end))
        return found

    def _end(self, index: int) -> int:
        return self._starts[index] + len(self._pieces[index])

    def _insert(self, index: int, start: int, data: bytes) -> None:
        self._starts.insert(index, start)
        self._pieces.insert(index, data)
        self.octets += len(data)


def _cut_front(start: int, data: bytes, end: int) -> tuple[int, bytes]:
    """Return a piece without what lies before ``end``."""
    if end <= start:
        return start, data
    return end, data[end - start :]
