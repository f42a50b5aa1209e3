"""The subflow on which the next data is acknowledged first, even if it has no room yet: ECF.

Y. Lim, E. Nahum, D. Towsley, R. Gibbens, "ECF: An MPTCP Path Scheduler to Manage Heterogeneous
Paths", CoNEXT 2017; without its terms for variance, and with the rate that was measured in place of
a congestion window per round-trip time.  A window that was not used up lately, because the peer's
window was the limit, says little: as much as it allows may fill the path's queue for long.
"""

from __future__ import annotations

from collections.abc import Sequence

from testbed.stack.mptcp.scheduler.base import NO_LIMIT, C, Candidate


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

    def waits(self, chosen: Candidate, full: Sequence[C], unsent: int) -> bool:
        """Return whether one of the full subflows would be done earlier with all that is unsent.

        What it could have sent by then is better left to it.  So a transfer does not end with a
        fast path that idles while a slow one empties its queue.
        """
        slow = chosen.expected_ns()
        if slow is None:
            return False
        times = [one.expected_ns(unsent) for one in full]
        return any(time < slow for time in times if time is not None)
