"""The subflow on which the next data is acknowledged first, even if it has no room yet: ECF.

Y. Lim, E. Nahum, D. Towsley, R. Gibbens, "ECF: An MPTCP Path Scheduler to Manage Heterogeneous
Paths", CoNEXT 2017; without its terms for variance, and with the rate that was measured in place of
a congestion window per round-trip time.  A window that was not used up lately, because the peer's
window was the limit, says little: as much as it allows may fill the path's queue for long.
"""

from __future__ import annotations

from collections.abc import Sequence

from testbed.stack.mptcp.scheduler.base import NO_LIMIT, C


class Ecf:
    """A subflow without a sample counts as the fastest, so that it gets one."""

    def select(self, candidates: Sequence[C]) -> C:
        """Return the candidate that is done first with what it has, the oldest of equals."""
        return min(candidates, key=lambda one: (one.expected_ns() or 0, one.number))

    def turn(self, chosen: C, candidates: Sequence[C]) -> int:
        """Return how much keeps the chosen one no longer than the next has to do already.

        So what the peer's window allows at once is spread, and arrives nearly in order.
        """
        others = [one.expected_ns() or 0 for one in candidates if one is not chosen]
        return chosen.within(min(others)) if others else NO_LIMIT

    def share(self, chosen: C, full: Sequence[C], unsent: int, window: int) -> int:
        """Return what the chosen one is done with earlier than a full one with all the rest.

        So a transfer does not end with a fast path that idles while a slow one empties its queue.
        Nor may a fast path come to the end of the peer's window because a slow one has not yet
        delivered where that begins (compare S. Ferlin et al., "BLEST: Blocking Estimation-based
        MPTCP Scheduler for Heterogeneous Networks", IFIP Networking 2016).
        """
        slow = chosen.expected_ns()
        if slow is None:
            return NO_LIMIT
        bounds = [
            min(done, one.sending_ns(window))
            for one in full
            if (done := one.expected_ns(unsent)) is not None
        ]
        if not bounds:
            return NO_LIMIT
        bound = min(bounds)
        return 0 if bound < slow else chosen.within(bound)
