"""The MIB counters of an endpoint, with the kernel's names as in nstat(8).

Rare events are counted when they occur. Counts of segments are kept by connections (for TCP_INFO)
and are added when a connection ends or a program reads the counters. So they cost nothing per
segment.

Sources: ``net/ipv4/proc.c`` and ``net/mptcp/mib.c`` of Linux; RFC 4022.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Counters:
    """The counters by name, without those that are 0."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[str, int] = {}

    def count(self, name: str) -> None:
        """Increment a counter."""
        self._values[name] = self._values.get(name, 0) + 1

    def add(self, values: Mapping[str, int]) -> None:
        """Add the counts of an ended connection."""
        for name, value in values.items():
            if value:
                self._values[name] = self._values.get(name, 0) + value

    def with_living(self, living: Iterable[Mapping[str, int]]) -> dict[str, int]:
        """Return all counters, including the counts of living connections."""
        found = Counters()
        found.add(self._values)
        for values in living:
            found.add(values)
        return dict(sorted(found._values.items()))
