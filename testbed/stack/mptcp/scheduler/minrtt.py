"""The smallest smoothed round-trip time that has room: Paasch et al., CSWS 2014.

It was the default of Linux' MPTCP outside the tree.  C. Paasch, S. Ferlin, O. Alay,
O. Bonaventure, "Experimental Evaluation of Multipath TCP Schedulers", CSWS 2014.
"""

from __future__ import annotations

from collections.abc import Sequence

from mypy_extensions import mypyc_attr

from testbed.stack.mptcp.scheduler.base import NO_LIMIT, C, Grant, View, fastest


@mypyc_attr(allow_interpreted_subclasses=True)
class MinRtt:
    """A subflow without a sample counts as the fastest, so that it gets one."""

    def select(self, candidates: Sequence[C]) -> C:
        """Return the candidate with the smallest round-trip time, the oldest of equals."""
        return fastest(candidates)

    def assign(self, view: View[C]) -> Grant[C] | None:
        """Return that it may have whatever it has room for."""
        if not view.sendable or not view.ready:
            return None
        return fastest(view.ready), view.first, NO_LIMIT
