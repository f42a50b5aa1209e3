"""One subflow after the other."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.stack.mptcp.scheduler.base import NO_LIMIT, C


class RoundRobin:
    """Remembers whose turn it was."""

    def __init__(self) -> None:
        self._last = -1

    def select(self, candidates: Sequence[C]) -> C:
        """Return the next candidate after the last one, in the order of their numbers."""
        after = [one for one in candidates if one.number > self._last]
        chosen = min(after or candidates, key=lambda one: one.number)
        self._last = chosen.number
        return chosen

    def turn(self, chosen: C, candidates: Sequence[C]) -> int:  # noqa: ARG002
        """Return that it may have whatever it has room for."""
        return NO_LIMIT

    def share(self, chosen: C, full: Sequence[C], unsent: int, window: int) -> int:  # noqa: ARG002
        """Return that it waits for no other."""
        return NO_LIMIT
