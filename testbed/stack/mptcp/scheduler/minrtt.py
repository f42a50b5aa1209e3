"""The subflow with the smallest smoothed round-trip time that has room."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.stack.mptcp.scheduler.base import NO_LIMIT, C


class MinRtt:
    """A subflow without a sample counts as the fastest, so that it gets one."""

    def select(self, candidates: Sequence[C]) -> C:
        """Return the candidate with the smallest round-trip time, the oldest of equals."""
        return min(candidates, key=lambda one: (one.smoothed_rtt_ns or 0, one.number))

    def turn(self, chosen: C, candidates: Sequence[C]) -> int:  # noqa: ARG002
        """Return that it may have whatever it has room for."""
        return NO_LIMIT

    def share(self, chosen: C, full: Sequence[C], unsent: int, window: int) -> int:  # noqa: ARG002
        """Return that it waits for no other."""
        return NO_LIMIT
