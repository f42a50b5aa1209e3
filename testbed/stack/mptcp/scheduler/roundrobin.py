"""The subflows in turn, each if it has room: Paasch et al., CSWS 2014.

C. Paasch, S. Ferlin, O. Alay, O. Bonaventure, "Experimental Evaluation of Multipath TCP
Schedulers", section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence

from mypy_extensions import mypyc_attr

from testbed.stack.mptcp.scheduler.base import NO_LIMIT, C, Grant, View


@mypyc_attr(allow_interpreted_subclasses=True)
class RoundRobin:
    """Keeps the number of the last subflow."""

    def __init__(self) -> None:
        self._last = -1

    def select(self, candidates: Sequence[C]) -> C:
        """Return the next candidate after the last one, in the order of numbers."""
        after = [one for one in candidates if one.number > self._last]
        chosen = min(after or candidates, key=lambda one: one.number)
        self._last = chosen.number
        return chosen

    def assign(self, view: View[C]) -> Grant[C] | None:
        """Return all data that the next one has room for."""
        if not view.sendable or not view.ready:
            return None
        return self.select(view.ready), view.first, NO_LIMIT
