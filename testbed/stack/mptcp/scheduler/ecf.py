"""ECF, earliest completion first, as published: Lim et al., CoNEXT 2017.

Y. Lim, E. Nahum, D. Towsley, R. Gibbens, "ECF: An MPTCP Path Scheduler to Manage Heterogeneous
Paths", CoNEXT 2017, algorithm 1, with its beta of 0.25.  As in the kernel module of its authors,
what is left takes each subflow a round trip at least, however little it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mypy_extensions import mypyc_attr

from testbed.stack.mptcp.scheduler.base import NO_LIMIT, C, Grant, View, fastest

_BETA: Final = 0.25


@mypyc_attr(allow_interpreted_subclasses=True)
class Ecf:
    """Uses the fastest subflow, and waits for it if it would finish the rest earlier."""

    def __init__(self) -> None:
        self._waiting = False

    def select(self, candidates: Sequence[C]) -> C:
        """Return the fastest candidate."""
        return fastest(candidates)

    def assign(self, view: View[C]) -> Grant[C] | None:
        """Return the fastest subflow if it has room, else the next one or nothing."""
        if not view.sendable or not view.ready:
            return None
        slow = fastest(view.ready)
        fast = fastest([slow, *view.full])
        if slow is fast or not fast.smoothed_rtt_ns or not slow.smoothed_rtt_ns:
            return slow, view.first, NO_LIMIT
        if self._waits(fast, slow, view.unsent):
            return None
        # The scheduler decides again for the next segment.
        return slow, view.first, slow.segment_size

    def _waits(self, fast: C, slow: C, left: int) -> bool:
        """Return whether the fast one finishes all data before the slow one would."""
        rtt_fast, rtt_slow = fast.smoothed_rtt_ns or 0, slow.smoothed_rtt_ns or 0
        delta = max(fast.rtt_variance_ns, slow.rtt_variance_ns)
        rounds = 1 + max(1.0, left / max(1, fast.cwnd))
        patience = 1 + _BETA if self._waiting else 1.0
        if rounds * rtt_fast >= patience * (rtt_slow + delta):
            self._waiting = False
            return False
        if max(1.0, left / max(1, slow.cwnd)) * rtt_slow < 2 * rtt_fast + delta:
            return False
        self._waiting = True
        return True
