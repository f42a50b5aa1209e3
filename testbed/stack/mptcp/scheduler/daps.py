"""DAPS, what is sent on paths of different delays arrives in order: Kuhn et al., ICC 2014.

N. Kuhn, E. Lochin, A. Mifdaoui, G. Sarwar, O. Mehani, R. Boreli, "DAPS: Intelligent Delay-Aware
Packet Scheduling for Multipath Transport", ICC 2014.  The paper makes a plan for the least common
multiple of the delays, in which each path sends a window in each of its round-trip times.  Here the
same order is worked out for one grant at a time, by the windows and times of that moment.
"""

from __future__ import annotations

from collections.abc import Sequence

from mypy_extensions import mypyc_attr

from testbed.stack.mptcp.scheduler.base import NO_LIMIT, C, Grant, View, fastest


@mypyc_attr(allow_interpreted_subclasses=True)
class Daps:
    """Gives a slow subflow data that lies behind what faster ones deliver before it does."""

    def select(self, candidates: Sequence[C]) -> C:
        """Return the fastest."""
        return fastest(candidates)

    def assign(self, view: View[C]) -> Grant[C] | None:
        """Return the fastest that has room, and where in the data its turn comes."""
        if not view.sendable or not view.ready:
            return None
        chosen = fastest(view.ready)
        start = view.after(view.first + _ahead(chosen, [*view.ready, *view.full]))
        return (chosen, start, NO_LIMIT) if start < min(view.end, view.edge) else None


def _ahead(chosen: C, paths: Sequence[C]) -> int:
    """Return how many octets faster paths deliver between now and when the chosen one has."""
    octets = 0
    rtt = chosen.smoothed_rtt_ns or 0
    for one in paths:
        faster = one.smoothed_rtt_ns
        if faster and faster < rtt:  # delays are half of the round-trip times
            octets += one.cwnd * (rtt - faster) // (2 * faster)
    return octets
