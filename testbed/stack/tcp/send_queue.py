"""The octets that wait for their first transmission."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

_SMALL: Final = 2048  # smaller chunks are merged up to here, to limit their number
_LARGE: Final = 16 * 1024  # views of this size and more are kept instead of copied


class SendQueue:
    """A queue of chunks, each with its ``ext``. Octets are copied once, when cut to segments."""

    __slots__ = ("_chunks", "_ends", "_offset", "_taken", "octets")

    def __init__(self) -> None:
        self._chunks: list[tuple[bytes | memoryview, Any]] = []
        self._offset = 0  # octets of the first chunk that have been taken
        self._taken = 0  # octets of all chunks
        # Ends of records, in the units of ``_taken``.  ``None``: there never was one.
        self._ends: deque[int] | None = None
        self.octets = 0

    def append(self, data: bytes | memoryview, ext: Any, *, eor: bool = False) -> None:
        """Append octets. Those of a large view must not change.

        :param eor: whether a record ends after them. No segment has octets of two records.
        """
        chunks = self._chunks
        if len(data) < _LARGE:
            data = bytes(data)
        if chunks and len(data) < _SMALL and chunks[-1][1] is ext:
            last = chunks[-1][0]
            if len(last) + len(data) <= _SMALL:
                data = b"".join((last, data))
                self.octets -= len(last)
                chunks.pop()
        chunks.append((data, ext))
        self.octets += len(data)
        if eor:
            if self._ends is None:
                self._ends = deque()
            self._ends.append(self._taken + self.octets)

    def put_back(self, data: bytes, ext: Any) -> None:
        """Put taken octets back at the front, before any others are taken."""
        if self._offset:
            rest, other = self._chunks[0]
            self._chunks[0] = rest[self._offset :], other
            self._offset = 0
        self._chunks.insert(0, (data, ext))
        self.octets += len(data)
        self._taken -= len(data)

    @property
    def ext(self) -> Any:
        """The ``ext`` of the next octets."""
        return self._chunks[0][1]

    def run(self, limit: int) -> int:
        """Return how many octets one segment can carry: at most ``limit``, of one ``ext``."""
        if self._ends:
            limit = min(limit, self._left_of_record())
        if len(self._chunks) == 1:
            return min(limit, self.octets)
        ext = self._chunks[0][1]
        octets = -self._offset
        for chunk, other in self._chunks:
            if other is not ext or octets >= limit:
                break
            octets += len(chunk)
        return min(limit, octets)

    def take(self, limit: int) -> bytes:
        """Remove and return the next octets: at most ``limit``, of one ``ext`` and record."""
        if self._ends:
            limit = min(limit, self._left_of_record())
        chunks, offset = self._chunks, self._offset
        data, ext = chunks[0]
        if len(data) - offset > limit:
            self._offset = offset + limit
            self._taken += limit
            self.octets -= limit
            return bytes(data[offset : offset + limit])
        parts = []
        missing = limit
        done = 0
        while done < len(chunks) and missing and chunks[done][1] is ext:
            data = chunks[done][0]
            part = data[offset : offset + missing]
            parts.append(part)
            missing -= len(part)
            offset += len(part)
            if offset == len(data):
                done += 1
                offset = 0
        del chunks[:done]
        self._offset = offset
        self._taken += limit - missing
        self.octets -= limit - missing
        return b"".join(parts)

    @property
    def ended_record(self) -> bool:
        """Whether the octets taken last were the last ones of a record."""
        ends = self._ends
        return bool(ends and ends[0] == self._taken)

    def _left_of_record(self) -> int:
        """Return how many octets are left of the present record."""
        ends = self._ends
        # An end stays until here, as its record may be put back.
        while ends and ends[0] <= self._taken:
            ends.popleft()
        return ends[0] - self._taken if ends else self.octets

    def clear(self) -> None:
        """Drop everything."""
        self._ends = None
        self._chunks.clear()
        self._offset = self.octets = 0
