"""Delivery opportunities, as in mahimahi's mm-link(1)."""

from __future__ import annotations

import bisect
from typing import Final

import msgspec

OPPORTUNITY: Final = 1500  # octets of IP packet


class Trace(msgspec.Struct, frozen=True):
    """The delivery times of one period in nanoseconds. The last one is the period."""

    times_ns: tuple[int, ...]

    @property
    def period_ns(self) -> int:
        """The length of the trace, after which it repeats, in nanoseconds."""
        return self.times_ns[-1]

    @property
    def bits_per_second(self) -> int:
        """The mean rate."""
        return len(self.times_ns) * OPPORTUNITY * 8 * 10**9 // self.period_ns


class TraceLink:
    """A link that delivers at the opportunities of a trace.

    :param start_ns: the start of the trace.
    """

    def __init__(self, trace: Trace, start_ns: int) -> None:
        self.bits_per_second = trace.bits_per_second
        self._times = trace.times_ns
        self._period_ns = trace.period_ns
        self._start_ns = start_ns  # start of the current round through the trace
        self._next = 0  # the first opportunity that no packet has begun to use
        self._current_ns = start_ns  # the opportunity in use, and what is left of it
        self._left = 0

    def deliver(self, octets: int, ready_ns: int) -> int:
        """Return when a packet leaves that is ready at ``ready_ns``, after all earlier ones."""
        if self._current_ns <= ready_ns or not self._left:
            self._skip_to(ready_ns)
            self._take()
        while octets > self._left:
            octets -= self._left
            self._take()
        self._left -= octets
        return self._current_ns

    def _skip_to(self, ready_ns: int) -> None:
        """Skip all opportunities up to and including ``ready_ns``."""
        rounds, within_ns = divmod(ready_ns - self._start_ns, self._period_ns)
        if rounds > 0:
            self._start_ns += rounds * self._period_ns
            self._next = 0
        if rounds >= 0:
            self._next = max(self._next, bisect.bisect_right(self._times, within_ns))

    def _take(self) -> None:
        if self._next == len(self._times):
            self._start_ns += self._period_ns
            self._next = 0
        self._current_ns = self._start_ns + self._times[self._next]
        self._next += 1
        self._left = OPPORTUNITY
