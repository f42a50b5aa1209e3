"""Mahimahi's packet-delivery traces (Netravali et al., USENIX ATC 2015; mm-link(1)).

A trace is a text file with one whole number per line: a time in milliseconds at which the link can
deliver 1500 octets of IP packets.  Times may repeat and never go down; after the last one the
trace starts again.  Octets that the queued packets do not use are lost with their opportunity.
"""

from __future__ import annotations

import bisect
from pathlib import Path
from typing import Final

import msgspec

from testbed.errors import InputError

OPPORTUNITY: Final = 1500  # octets of IP packet
MAX_BYTES: Final = 64 * 2**20  # a trace of over an hour at 10 Gbit/s

_NS_PER_MS: Final = 10**6


class Trace(msgspec.Struct, frozen=True):
    """Times of delivery within one period, in nanoseconds; the last one is the period."""

    times_ns: tuple[int, ...]

    @property
    def period_ns(self) -> int:
        """How long the trace lasts before it repeats."""
        return self.times_ns[-1]

    @property
    def bits_per_second(self) -> int:
        """The mean rate."""
        return len(self.times_ns) * OPPORTUNITY * 8 * 10**9 // self.period_ns


def load(path: str | Path) -> Trace:
    """Read a trace file.

    :raises InputError: it cannot be read, or a line of it is not a time that can follow the last.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"the trace cannot be read: {error.strerror}", file=path) from None
    if len(data) > MAX_BYTES:
        raise InputError("the trace is larger than 64 MiB", file=path)
    times: list[int] = []
    last = 0
    for number, line in enumerate(data.splitlines(), 1):
        if not line.isdigit() or len(line) > 12:
            text = line[:20].decode(errors="replace")
            raise InputError(f"{text!r} is not a time in whole ms", file=path, line=number)
        time_ns = int(line) * _NS_PER_MS
        if time_ns < last:
            raise InputError("times must not go down", file=path, line=number)
        times.append(time_ns)
        last = time_ns
    if not last:
        raise InputError("the trace must last longer than 0 ms", file=path)
    return Trace(tuple(times))


class TraceLink:
    """A link that delivers when a trace says so.

    :param start_ns: the time at which the trace begins.
    """

    def __init__(self, trace: Trace, start_ns: int) -> None:
        self.bits_per_second = trace.bits_per_second
        self._times = trace.times_ns
        self._period_ns = trace.period_ns
        self._start_ns = start_ns  # of the current round through the trace
        self._next = 0  # the first opportunity that no packet has begun to use
        self._current_ns = start_ns  # the opportunity in use, and what is left of it
        self._left = 0

    def deliver(self, octets: int, ready_ns: int) -> int:
        """Return when a packet leaves that is ready at ``ready_ns``, behind all earlier ones."""
        if self._current_ns <= ready_ns or not self._left:
            self._skip_to(ready_ns)
            self._take()
        while octets > self._left:
            octets -= self._left
            self._take()
        self._left -= octets
        return self._current_ns

    def _skip_to(self, ready_ns: int) -> None:
        """Let all opportunities up to and including ``ready_ns`` pass unused."""
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
