"""The earliest acknowledgment by measured delivery rates: testbed's own, the default.

Like ECF and BLEST it may wait for a subflow that has no room yet. It uses measured delivery rates
instead of a congestion window per round trip. Instead of the smoothed round-trip time it uses the
shortest one and the time behind the data of other connections (``pace.py``). The reason: if the
peer's window was the limit, the congestion window was not used lately, and using it in full could
fill the queue of the path for long. See ``ecf.py`` and ``blest.py`` for the origin of the idea.
"""

from __future__ import annotations

from collections.abc import Sequence

from mypy_extensions import mypyc_attr

from testbed.stack.mptcp.scheduler.base import NO_LIMIT, C, Grant, View


@mypyc_attr(allow_interpreted_subclasses=True)
class Earliest:
    """Chooses the subflow that finishes first. One without a sample counts as the fastest."""

    def select(self, candidates: Sequence[C]) -> C:
        """Return the candidate that finishes its data first, the oldest of equals."""
        if len(candidates) == 1:
            return candidates[0]
        return min(candidates, key=lambda one: (one.expected_ns() or 0, one.number))

    def assign(self, view: View[C]) -> Grant[C] | None:
        """Return the subflow that finishes first, and its data within both bounds."""
        if not view.sendable or not view.ready:
            return None
        chosen = self.select(view.ready)
        octets = _turn(chosen, view.ready)
        if view.full:
            octets = min(octets, _share(chosen, view.full, view.unsent, view.window))
        return (chosen, view.first, octets) if octets else None


def _turn(chosen: C, candidates: Sequence[C]) -> int:
    """Return the amount with which the chosen one finishes no later than the next one.

    So a burst that the peer's window allows is spread, and arrives nearly in order.
    """
    others = [one.expected_ns() or 0 for one in candidates if one is not chosen]
    return chosen.within(min(others)) if others else NO_LIMIT


def _share(chosen: C, full: Sequence[C], unsent: int, window: int) -> int:
    """Return the amount that the chosen one finishes before a full one could finish the rest.

    So at the end of a transfer no fast path idles while a slow one empties its queue. And a fast
    path does not reach the end of the peer's window while a slow one has not delivered the start of
    that window.

    :param window: how many octets may follow new data before it is acknowledged.
    """
    slow = chosen.expected_ns()
    if slow is None:
        return NO_LIMIT
    bounds = [
        min(done, one.sending_ns(window))
        for one in full
        if (done := one.expected_ns(unsent)) is not None
    ]
    if not bounds:
        return NO_LIMIT
    bound = min(bounds)
    return 0 if bound < slow else chosen.within(bound)
