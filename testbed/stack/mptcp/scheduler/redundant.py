"""All data on each subflow, the first copy counts: Frommgen et al., ICC 2016.

A. Frommgen, T. Erbshaeusser, A. Buchmann, T. Zimmermann, K. Wehrle, "ReMP TCP: Low Latency
Multipath TCP", ICC 2016. Each subflow sends at its own pace the data that it was not given yet and
that has no Data ACK. So a slow subflow skips the data that a fast one has delivered meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence

from mypy_extensions import mypyc_attr

from testbed.stack.mptcp.scheduler.base import C, Grant, View, fastest


@mypyc_attr(allow_interpreted_subclasses=True)
class Redundant:
    """Keeps no state: each subflow knows what it carries."""

    def select(self, candidates: Sequence[C]) -> C:
        """Return the fastest candidate."""
        return fastest(candidates)

    def assign(self, view: View[C]) -> Grant[C] | None:
        """Return the fastest subflow that lacks data, and the first piece that it lacks."""
        limit = min(view.end, view.edge)
        lacking = {one: piece for one in view.ready if (piece := one.lacks(view.una, limit))}
        if not lacking:
            return None
        chosen = fastest(list(lacking))
        start, end = lacking[chosen]
        return chosen, start, end - start
