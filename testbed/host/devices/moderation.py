"""Interrupt moderation: while many packets arrive, an input is read at intervals.

A packet that is read alone costs a turn of the event loop, a round of the driver and a step of the
stack. Network drivers in Linux have the same problem, and the same solution (NAPI, and ``ethtool
-C`` with ``adaptive-rx``): packets after a pause are read at once. If more packets arrive soon
after a read, the interrupt is disabled, and the input is polled until a poll finds nothing.

The interval is at most 5 % of the round-trip time, and at most 1 ms. Linux delays compressed SACKs
by no more than that (``net.ipv4.tcp_comp_sack_delay_ns``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from testbed.driver.loop import Clock
from testbed.host.devices.received import Received
from testbed.libc import BATCH

_LONGEST_NS: Final = 1_000_000
_SHARE: Final = 20  # an interval is the round-trip time divided by this
_VALID_NS: Final = 10_000_000  # an interval is computed again after this time


class Input(Protocol):
    """A source of frames."""

    def fileno(self) -> int:
        """Return the descriptor."""

    def receive(self) -> Sequence[Received]:
        """Return a batch of waiting packets."""

    def close(self) -> None:
        """Close it."""


class Watcher(Protocol):
    """The part of an event loop that watches descriptors."""

    def add_reader(self, fd: Input, callback: Callable[[], object], /) -> Any:
        """Call ``callback`` in each turn in which a descriptor has input."""

    def remove_reader(self, fd: Input, /) -> Any:
        """Stop watching a descriptor."""


class PollClock(Clock, Protocol):
    """The clock of one input."""

    def close(self) -> None:
        """Cancel all calls."""


class Moderated:
    """An input that the event loop watches, or that is polled while many packets arrive.

    :ivar source: the input.
    :param clock: closed with the input.
    :param ready: called with this when :meth:`receive` should be called.
    :param min_rtt: returns the shortest round-trip time of all connections in nanoseconds.
    """

    def __init__(
        self,
        source: Input,
        watcher: Watcher,
        clock: PollClock,
        ready: Callable[[Moderated], object],
        min_rtt: Callable[[], int],
    ) -> None:
        self.source = source
        self._watcher = watcher
        self._clock = clock
        self._ready = ready
        self._min_rtt = min_rtt
        self._interval = 0
        self._computed: int | None = None  # when the interval was computed
        self._next = 0  # the input may be read from this time on
        self._polls = False

    def start(self) -> None:
        """Start to watch the input."""
        self._watcher.add_reader(self.source, self._readable)

    def receive(self) -> Sequence[Received]:
        """Return a batch of waiting packets, possibly empty."""
        found = self.source.receive()
        now = self._clock.now()
        if found:
            self._next = now if len(found) == BATCH else now + self._interval_at(now)
            if self._polls:
                self._clock.at(self._next, self._poll)
        elif self._polls:
            self._polls = False
            self.start()
        return found

    def stop(self) -> None:
        """Stop watching and polling the input. Close it after this."""
        self._watcher.remove_reader(self.source)
        self._clock.close()

    def _readable(self) -> None:
        if self._clock.now() < self._next:
            self._watcher.remove_reader(self.source)
            self._polls = True
            self._clock.at(self._next, self._poll)
        else:
            self._ready(self)

    def _poll(self, now: int) -> None:
        del now
        self._ready(self)

    def _interval_at(self, now: int) -> int:
        """Return the interval between two reads."""
        if self._computed is None or now - self._computed > _VALID_NS:
            self._computed = now
            self._interval = min(_LONGEST_NS, self._min_rtt() // _SHARE)
        return self._interval
