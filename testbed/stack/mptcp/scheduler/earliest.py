"""Where data is acknowledged first, at the rates that paths deliver: testbed's own, the default.

It waits for one that has no room yet, as ECF and BLEST do, but by rates that were measured in place
of a congestion window per round-trip time, and by the shortest round-trip time in place of the
smoothed one.  A window that was not used up lately, because the peer's window was the limit, says
little: as much as it allows may fill the path's queue for long.  This project's own; see ``ecf.py``
and ``blest.py`` for where the thoughts come from.
"""

from __future__ import annotations

from collections.abc import Sequence

from mypy_extensions import mypyc_attr

from testbed.stack.mptcp.scheduler.base import NO_LIMIT, C, Grant, View


@mypyc_attr(allow_interpreted_subclasses=True)
class Earliest:
    """A subflow without a sample counts as the fastest, so that it gets one."""

    def select(self, candidates: Sequence[C]) -> C:
        """Return the candidate that is done first with what it has, the oldest of equals."""
        return min(candidates, key=lambda one: (one.expected_ns() or 0, one.number))

    def assign(self, view: View[C]) -> Grant[C] | None:
        """Return the one that is done first, with what neither bound takes away."""
        if not view.sendable or not view.ready:
            return None
        chosen = self.select(view.ready)
        octets = _turn(chosen, view.ready)
        if view.full:
            octets = min(octets, _share(chosen, view.full, view.unsent, view.window))
        return (chosen, view.first, octets) if octets else None


def _turn(chosen: C, candidates: Sequence[C]) -> int:
    """Return how much keeps the chosen one no longer than the next has to do already.

    So what the peer's window allows at once is spread, and arrives nearly in order.
    """
    others = [one.expected_ns() or 0 for one in candidates if one is not chosen]
    return chosen.within(min(others)) if others else NO_LIMIT


def _share(chosen: C, full: Sequence[C], unsent: int, window: int) -> int:
    """Return what the chosen one is done with earlier than a full one with all the rest.

    So a transfer does not end with a fast path that idles while a slow one empties its queue.  Nor
    may a fast path come to the end of the peer's window because a slow one has not yet delivered
    where that begins.

    :param window: octets that may leave behind new data before that is acknowledged.
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
