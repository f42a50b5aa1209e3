"""MIB counters of an endpoint, by the names that nstat(8) gives those of the kernel.

What happens seldom is counted when it happens.  What happens to each segment is counted by its
connection anyway (TCP_INFO has it): those counts are added when a connection ends, and when a
program asks.  So a segment costs nothing more.

Sources: ``net/ipv4/proc.c`` and ``net/mptcp/mib.c`` of Linux; RFC 4022.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Counters:
    """Counts by name; what has not happened is not there."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[str, int] = {}

    def count(self, name: str) -> None:
        """Count one event."""
        self._values[name] = self._values.get(name, 0) + 1

    def add(self, values: Mapping[str, int]) -> None:
        """Add what a connection has counted, which has ended."""
        for name, value in values.items():
            if value:
                self._values[name] = self._values.get(name, 0) + value

    def with_living(self, living: Iterable[Mapping[str, int]]) -> dict[str, int]:
        """Return all of them, with those of connections that have not ended."""
        found = Counters()
        found.add(self._values)
        for values in living:
            found.add(values)
        return dict(sorted(found._values.items()))
