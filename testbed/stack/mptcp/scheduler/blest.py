"""BLEST, blocking estimation: Ferlin et al., IFIP Networking 2016.

S. Ferlin, O. Alay, O. Mehani, R. Boreli, "BLEST: Blocking Estimation-based MPTCP Scheduler for
Heterogeneous Networks", IFIP Networking 2016, section III. The factor lambda starts at 1, changes
by 0.01 in a round trip and stays between 1 and 1.3, as in the authors' code for Linux.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mypy_extensions import mypyc_attr

from testbed.stack.mptcp.scheduler.base import NO_LIMIT, C, Grant, View, fastest

_STEP: Final = 0.01
_LEAST, _MOST = 1.0, 1.3


@mypyc_attr(allow_interpreted_subclasses=True)
class Blest:
    """Keeps room in the peer's window for the data that a faster subflow will send."""

    def __init__(self) -> None:
        self._factor = _LEAST
        self._round_end = 0
        self._blocked = False  # whether the window blocked all data in this round trip

    def select(self, candidates: Sequence[C]) -> C:
        """Return the fastest candidate."""
        return fastest(candidates)

    def assign(self, view: View[C]) -> Grant[C] | None:
        """Return the fastest subflow with room, unless it would block a faster one."""
        self._learn(view)
        if not view.sendable or not view.ready:
            return None
        slow = fastest(view.ready)
        fast = fastest([slow, *view.full])
        if slow is fast or not fast.smoothed_rtt_ns or not slow.smoothed_rtt_ns:
            return slow, view.first, NO_LIMIT
        ratio = slow.smoothed_rtt_ns / fast.smoothed_rtt_ns
        needed = (fast.cwnd + fast.segment_size * (ratio - 1) / 2) * ratio
        room = view.edge - view.una - slow.in_flight - slow.queued - slow.segment_size
        if needed * self._factor > room:
            return None
        # The scheduler decides again for the next segment.
        return slow, view.first, slow.segment_size

    def _learn(self, view: View[C]) -> None:
        """Increase lambda after a round trip with a block, and decrease it after one without."""
        self._blocked |= bool(view.ready) and view.unsent > 0 and not view.sendable
        if view.una >= self._round_end:
            step = _STEP if self._blocked else -_STEP
            self._factor = min(max(self._factor + step, _LEAST), _MOST)
            self._round_end = view.first
            self._blocked = False
