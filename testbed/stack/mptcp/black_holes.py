"""Where MP_CAPABLE makes SYNs vanish (RFC 8684, section 3.9.3)."""

from __future__ import annotations

from typing import Final

import msgspec

_MOST: Final = 1024  # destinations
_MOST_DOUBLINGS: Final = 6  # as in Linux: 64 times the first period


class _Hole(msgspec.Struct):
    until_ns: int
    times: int  # in a row


class BlackHoles:
    """The hosts towards which SYNs with MP_CAPABLE have vanished, and one without it has not.

    MPTCP is not tried there for a while, twice as long each time, until it is seen to work.  Linux
    has one such period for all destinations of a network namespace; here each has its own.

    :param first_ns: the first period; 0: nothing is remembered.
    """

    def __init__(self, first_ns: int) -> None:
        self._first_ns = first_ns
        self._holes: dict[str, _Hole] = {}  # the one that was found first comes first

    def __len__(self) -> int:
        return len(self._holes)

    def swallow(self, host: str, now: int) -> bool:
        """Tell whether MPTCP is not to be tried with a host now."""
        hole = self._holes.get(host)
        return hole is not None and now < hole.until_ns

    def found(self, host: str, now: int) -> bool:
        """Note that a connection to a host was opened only after the option had been left out.

        Tell whether that is remembered.
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
        """Note that MPTCP works with a host."""
        self._holes.pop(host, None)
