"""A scheduler that changes subflows only when it must."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.stack.mptcp.scheduler.base import NO_LIMIT, C, Grant, View


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

    def assign(self, view: View[C]) -> Grant[C] | None:
        """Grant it the next data, as much as it has room for."""
        if not view.sendable or not view.ready:
            return None
        return self.select(view.ready), view.first, NO_LIMIT
