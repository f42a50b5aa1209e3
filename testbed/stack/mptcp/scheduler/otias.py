"""OTIAS, each segment on the subflow where it arrives first: Yang et al., AINA workshops 2014.

F. Yang, Q. Wang, P. Amer, "Out-of-Order Transmission for In-Order Arrival Scheduling for Multipath
TCP", AINA workshops 2014. Each segment goes to the subflow on which it arrives first. If that one
has no room, the segment waits there. At most a window waits in a subflow: a longer plan would
ignore later changes of the paths and later subflows.
"""

from __future__ import annotations

from collections.abc import Sequence

from mypy_extensions import mypyc_attr

from testbed.stack.mptcp.scheduler.base import C, Grant, View


@mypyc_attr(allow_interpreted_subclasses=True)
class Otias:
    """Considers all subflows, with or without room."""

    def select(self, candidates: Sequence[C]) -> C:
        """Return the candidate on which the next segment arrives first, the oldest of equals."""
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
    """Return when a segment arrives: half a round trip after its window opens.

    A segment outside the present window waits a round trip for each window before it.
    """
    rtt = one.smoothed_rtt_ns or 0
    beyond = one.queued + one.in_flight + one.segment_size - one.cwnd
    rounds = -(-beyond // max(1, one.cwnd)) if beyond > 0 else 0
    return rtt * rounds + rtt // 2
