"""The smallest smoothed round-trip time among subflows with room: Paasch et al., CSWS 2014.

It was the default of Linux's out-of-tree MPTCP. C. Paasch, S. Ferlin, O. Alay, O. Bonaventure,
"Experimental Evaluation of Multipath TCP Schedulers", CSWS 2014.
"""

from __future__ import annotations

from collections.abc import Sequence

from mypy_extensions import mypyc_attr

from testbed.stack.mptcp.scheduler.base import NO_LIMIT, C, Grant, View, fastest


@mypyc_attr(allow_interpreted_subclasses=True)
class MinRtt:
    """Chooses by round-trip time. A subflow without a sample counts as the fastest."""

    def select(self, candidates: Sequence[C]) -> C:
        """Return the candidate with the smallest round-trip time, the oldest of equals."""
        return fastest(candidates)

    def assign(self, view: View[C]) -> Grant[C] | None:
        """Return all data that the chosen one has room for."""
        if not view.sendable or not view.ready:
            return None
        return fastest(view.ready), view.first, NO_LIMIT
