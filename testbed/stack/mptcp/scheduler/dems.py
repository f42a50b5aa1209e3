"""DEMS, which sends a chunk from both ends: Guo et al., MobiCom 2017.

Y. E. Guo, A. Nikravesh, Z. M. Mao, F. Qian, S. Sen, "Accelerating Multipath Transport Through
Balanced Subflow Completion", MobiCom 2017. A chunk of the paper is the written data here. The paper
also sends some data twice, in case the estimates are wrong. This is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from mypy_extensions import mypyc_attr

from testbed.stack.mptcp.scheduler.base import NO_LIMIT, C, Grant, View, fastest


@mypyc_attr(allow_interpreted_subclasses=True)
class Dems:
    """The fastest subflow sends the data from its start, the others from its end."""

    def select(self, candidates: Sequence[C]) -> C:
        """Return the fastest candidate."""
        return fastest(candidates)

    def assign(self, view: View[C]) -> Grant[C] | None:
        """Return the fastest subflow with room, or a slower one that finishes no later."""
        if not view.sendable or not view.ready:
            return None
        chosen = fastest(view.ready)
        first = fastest([*view.ready, *view.full])
        if chosen is first:
            return chosen, view.first, NO_LIMIT
        start, stop = view.last
        start = max(start, stop - chosen.segment_size)
        arrives, others = chosen.expected_ns(stop - start), first.expected_ns(view.unsent)
        if arrives is not None and others is not None and arrives > others:
            return None
        return chosen, start, stop - start
