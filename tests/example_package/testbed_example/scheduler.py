"""A scheduler that changes subflows only when it must."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.stack.mptcp.scheduler.base import NO_LIMIT, C


class Sticky:
    """Stays on a subflow for as long as that can take data.  There is one for each connection."""

    def __init__(self) -> None:
        self._number = 0

    def select(self, candidates: Sequence[C]) -> C:
        """Return the subflow of last time, or else the first one that can take data."""
        same = [one for one in candidates if one.number == self._number]
        chosen = (same or candidates)[0]
        self._number = chosen.number
        return chosen

    def turn(self, chosen: C, candidates: Sequence[C]) -> int:
        """Return that it may have whatever it has room for."""
        return NO_LIMIT

    def share(self, chosen: C, full: Sequence[C], unsent: int, window: int) -> int:
        """Return that it waits for no other."""
        return NO_LIMIT
