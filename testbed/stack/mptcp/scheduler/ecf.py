"""The fastest subflow, even one that has no room yet, if it will be done earlier: ECF.

Y. Lim, E. Nahum, D. Towsley, R. Gibbens, "ECF: An MPTCP Path Scheduler to Manage Heterogeneous
Paths", CoNEXT 2017; without its terms for variance.
"""

from __future__ import annotations

from collections.abc import Sequence

from testbed.stack.mptcp.scheduler import C, Candidate, Scheduler
from testbed.stack.mptcp.scheduler.minrtt import MinRtt


def create() -> Scheduler:
    """Return the scheduler, which has no state."""
    return Ecf()


class Ecf(MinRtt):
    """Data for the slower subflow arrives a round-trip time of that later, its queue included.

    What the fastest could have sent by then is better left to it.  So a transfer does not end with
    a fast path that idles while a slow one empties its queue.
    """

    def waits(self, chosen: Candidate, full: Sequence[C], unsent: int) -> bool:
        """Return whether all that is unsent arrives earlier on the fastest of the full subflows."""
        slow = chosen.smoothed_rtt_ns
        measured = [one for one in full if one.smoothed_rtt_ns]
        if slow is None or not measured:
            return False
        fast = min(measured, key=lambda one: one.smoothed_rtt_ns or 0)
        turns = 1 + unsent / max(1, fast.cwnd)
        return turns * (fast.smoothed_rtt_ns or 0) < slow
