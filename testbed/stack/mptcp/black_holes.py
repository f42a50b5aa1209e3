"""Hosts towards which SYNs with MP_CAPABLE are lost (RFC 8684, section 3.9.3)."""

from __future__ import annotations

from typing import Final

import msgspec

_MOST: Final = 1024  # destinations
_MOST_DOUBLINGS: Final = 6  # as in Linux: 64 times the first period


class _Hole(msgspec.Struct):
    until_ns: int
    times: int  # failures in a row


class BlackHoles:
    """The hosts that answered a SYN only after MP_CAPABLE was left out.

    MPTCP is not used towards such a host for a period. The period doubles each time, until MPTCP
    works there. Linux has one period for all destinations of a network namespace. Here each host
    has its own.

    :param first_ns: the first period in nanoseconds; 0 disables the memory.
    """

    def __init__(self, first_ns: int) -> None:
        self._first_ns = first_ns
        self._holes: dict[str, _Hole] = {}  # in the order in which they were found

    def __len__(self) -> int:
        return len(self._holes)

    def swallow(self, host: str, now: int) -> bool:
        """Return whether MPTCP must not be used towards a host now."""
        hole = self._holes.get(host)
        return hole is not None and now < hole.until_ns

    def found(self, host: str, now: int) -> bool:
        """Record that a host answered only after the option was left out.

        Return whether it was recorded: not if the memory is disabled.
        """
        if not self._first_ns:
            return False
        hole = self._holes.pop(host, None)
        times = 1 if hole is None else hole.times + 1
        period = self._first_ns << min(times - 1, _MOST_DOUBLINGS)
        self._holes[host] = _Hole(now + period, times)
        if len(self._holes) > _MOST:
            del self._holes[next(iter(self._holes))]
        return True

    def disproved(self, host: str) -> None:
        """Record that MPTCP works with a host."""
        self._holes.pop(host, None)
