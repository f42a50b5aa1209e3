"""DAPS, in-order arrival over paths of different delays: Kuhn et al., ICC 2014.

N. Kuhn, E. Lochin, A. Mifdaoui, G. Sarwar, O. Mehani, R. Boreli, "DAPS: Intelligent Delay-Aware
Packet Scheduling for Multipath Transport", ICC 2014. The paper computes a schedule for the least
common multiple of the delays, in which each path sends a window in each of its round-trip times.
Here the same order is computed for one grant at a time, from the present windows and times.
"""

from __future__ import annotations

from collections.abc import Sequence

from mypy_extensions import mypyc_attr

from testbed.stack.mptcp.scheduler.base import NO_LIMIT, C, Grant, View, fastest


@mypyc_attr(allow_interpreted_subclasses=True)
class Daps:
    """Gives a slow subflow the data that follows the data of faster ones until it delivers."""

    def select(self, candidates: Sequence[C]) -> C:
        """Return the fastest candidate."""
        return fastest(candidates)

    def assign(self, view: View[C]) -> Grant[C] | None:
        """Return the fastest subflow with room, and the position of its data."""
        if not view.sendable or not view.ready:
            return None
        chosen = fastest(view.ready)
        start = view.after(view.first + _ahead(chosen, [*view.ready, *view.full]))
        return (chosen, start, NO_LIMIT) if start < min(view.end, view.edge) else None


def _ahead(chosen: C, paths: Sequence[C]) -> int:
    """Return how many octets faster paths deliver before the chosen one does."""
    octets = 0
    rtt = chosen.smoothed_rtt_ns or 0
    for one in paths:
        faster = one.smoothed_rtt_ns
        if faster and faster < rtt:  # a delay is half of a round-trip time
            octets += one.cwnd * (rtt - faster) // (2 * faster)
    return octets
