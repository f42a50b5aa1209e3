"""The peer's mappings of the octets of one subflow (RFC 8684, section 3.3.1)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import attrgetter
from typing import Final

from testbed.stack.mptcp.mapping import Mapping

MOST_MAPPINGS: Final = 1 << 14  # limit for one subflow: it bounds the memory that a peer can use
_MOST_OVERLAPPED: Final = 64  # limit of mappings that one late mapping overlaps
_start: Final = attrgetter("subflow")


class ReceivedMappings:
    """The peer's mappings of its octets on one subflow.

    A mapping may span segments, and may arrive before or after the octets that it covers. It is
    immutable: if two mappings disagree, the first one stays. Above a limit the last mappings are
    dropped, and so is a mapping that overlaps very many others. Their octets count as unmapped, and
    the peer must send the data again. A checksum covers a whole mapping, so with checksums a
    mapping that overlaps another one is dropped.
    """

    __slots__ = ("_end", "_mappings", "_passed")

    def __init__(self) -> None:
        self._mappings: list[Mapping] = []  # sorted by position in the subflow, disjoint
        self._end = 0  # end of the last mapping, as a position in the subflow
        self._passed = 0  # mappings before this position in the subflow are not needed

    def __len__(self) -> int:
        return len(self._mappings)

    def start_after(self, position: int) -> int | None:
        """Return where the first mapping after a position of the subflow starts."""
        index = bisect_right(self._mappings, position, key=_start)
        return self._mappings[index].subflow if index < len(self._mappings) else None

    def add(self, mapping: Mapping) -> None:
        """Record a mapping, except for octets that are mapped already."""
        mappings, start, end = self._mappings, mapping.subflow, mapping.subflow_end
        if mappings and mappings[-1].subflow <= start and end <= self._end:
            return  # a repetition: each segment of a long mapping carries it
        if end <= self._passed or len(mappings) >= MOST_MAPPINGS:
            return
        if start >= self._end and start >= self._passed:
            mappings.append(mapping)
            self._end = end
        else:
            self._insert(mapping)
            self._end = mappings[-1].subflow_end if mappings else 0

    def at(self, position: int) -> Mapping | None:
        """Return the mapping of the octet at a position. Positions must not decrease."""
        mappings = self._mappings
        if mappings and mappings[0].subflow_end <= position:
            gone = bisect_right(mappings, position, key=_start)
            if gone > 1 and mappings[gone - 1].subflow_end > position:
                gone -= 1
            del mappings[:gone]
        self._passed = max(self._passed, position)
        if mappings and mappings[0].subflow <= position:
            return mappings[0]
        return None

    def all_have(self, shift: int) -> bool:
        """Return whether each mapping has this difference between its two positions."""
        return all(each.data - each.subflow == shift for each in self._mappings)

    def _insert(self, new: Mapping) -> None:
        """Insert the new parts of a mapping between the present ones."""
        start = max(new.subflow, self._passed)
        first = bisect_right(self._mappings, start, key=_start)
        if first and self._mappings[first - 1].subflow_end > start:
            first -= 1
        end = bisect_left(self._mappings, new.subflow_end, first, key=_start)
        if new.checksum is not None and (start > new.subflow or first < end):
            return
        if end - first > _MOST_OVERLAPPED:
            return
        found = []
        for old in self._mappings[first:end]:
            if start < old.subflow:
                found.append(_part(new, start, old.subflow))
            found.append(old)
            start = max(start, old.subflow_end)
        if start < new.subflow_end:
            found.append(_part(new, start, new.subflow_end))
        self._mappings[first:end] = found


def _part(mapping: Mapping, start: int, end: int) -> Mapping:
    """Return the part of a mapping from ``start`` up to ``end`` in the subflow's stream."""
    if (start, end) == (mapping.subflow, mapping.subflow_end):
        return mapping
    return Mapping(data=mapping.data_at(start), subflow=start, length=end - start)
