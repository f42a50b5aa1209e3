"""OTIAS, each segment where it arrives first: Yang et al., AINA workshops 2014.

F. Yang, Q. Wang, P. Amer, "Out-of-Order Transmission for In-Order Arrival Scheduling for Multipath
TCP", AINA workshops 2014.  Each segment goes where it arrives first.  If that is on a subflow
without room, it waits there.  No more than a window waits in a subflow: what is further ahead would
be planned for paths as they are now, and for none that is opened later.
"""

from __future__ import annotations

from collections.abc import Sequence

from mypy_extensions import mypyc_attr

from testbed.stack.mptcp.scheduler.base import C, Grant, View


@mypyc_attr(allow_interpreted_subclasses=True)
class Otias:
    """Looks at all subflows, whether or not they have room."""

    def select(self, candidates: Sequence[C]) -> C:
        """Return the one on which the next segment arrives first, the oldest of equals."""
        return min(candidates, key=lambda one: (_arrival_ns(one), one.number))

    def assign(self, view: View[C]) -> Grant[C] | None:
        """Return a segment for the subflow on which it arrives first."""
        if not view.sendable:
            return None
        chosen = self.select([*view.ready, *view.full])
        if chosen.queued >= chosen.cwnd:
            return None
        return chosen, view.first, chosen.segment_size


def _arrival_ns(one: C) -> int:
    """Return when a segment arrives: half a round trip after its window has come.

    What does not fit in the window now waits a round trip for each window that is before it.
    """
    rtt = one.smoothed_rtt_ns or 0
    beyond = one.queued + one.in_flight + one.segment_size - one.cwnd
    rounds = -(-beyond // max(1, one.cwnd)) if beyond > 0 else 0
    return rtt * rounds + rtt // 2
