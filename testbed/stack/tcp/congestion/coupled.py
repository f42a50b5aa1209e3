"""The common part of the controls that couple the subflows of one connection.

Each is a Reno, except for the growth of the window in congestion avoidance and, for some, its
reduction after a loss. Windows are in octets and round-trip times in nanoseconds. The units cancel
out in each formula unless it says otherwise.

A control that is alone, such as that of plain TCP, has the increase of Reno.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, Self

from mypy_extensions import mypyc_attr

from testbed.stack.tcp.congestion.control import Group, Sample
from testbed.stack.tcp.congestion.reno import Reno

_QUIET_NS: Final = 1_000_000_000


@mypyc_attr(allow_interpreted_subclasses=True)
class Coupled(Reno):
    """Grows by :meth:`gain`.

    :ivar rtt: the smoothed round-trip time; 0 before the first.
    :ivar heard: when the last ACK of data was received.
    """

    least_segments: ClassVar[int] = 1  # other paths carry the traffic that leaves this path

    __slots__ = ("_credit", "_group", "_peak", "_peak_before", "_round", "heard", "rtt")

    def __init__(self, group: Group) -> None:
        super().__init__(group)
        self.rtt = 0
        self._group = group
        self._credit = 0.0  # growth of the window, less than a segment so far
        self.heard = 0
        self._peak = 0  # peak of octets in flight in this round trip, and in the one before
        self._peak_before = 0
        self._round = -1

    @property
    def used(self) -> int:
        """How many octets of the window were in use in the last two round trips.

        RFC 6356, section 3, requires that: an unused window does not reflect a rate.
        """
        return min(self.window, max(self._peak, self._peak_before, self.mss))

    @property
    def rate(self) -> float:
        """The rate in octets per nanosecond."""
        return self.used / self.rtt

    def gain(self, paths: Sequence[Self]) -> float:
        """Return by how many segments the window grows for each acknowledged octet.

        It may be negative.

        :param paths: the controls of the paths in use, including this one.
        """
        del paths
        return 1 / self.window

    def paths(self, now: int) -> list[Self]:
        """Return the connection's controls of paths in use, including this one.

        A path is unused if it had no ACK of data for two round trips and a second.
        """
        kind = type(self)
        return [
            path
            for path in self._group
            if path is self
            or (
                isinstance(path, kind) and path.rtt and now - path.heard <= _QUIET_NS + 2 * path.rtt
            )
        ]

    def on_sent(self, octets: int, in_flight: int, now: int) -> None:  # noqa: ARG002
        """Record how much of the window is used."""
        self._peak = max(self._peak, in_flight)

    def on_ack(self, sample: Sample) -> None:
        """Double each round trip in slow start, grow by :meth:`gain` after it."""
        self._note(sample)
        if not sample.growable:
            return
        octets = self._slow_start(sample.delivered, sample.delivered)
        if octets and self.rtt:
            self._credit += octets * self.gain(self.paths(sample.now))
            if self._credit >= 1:
                self._credit -= 1
                self.window += self.mss
            elif self._credit <= -1:
                self._credit += 1
                self.window = max(self.window - self.mss, self.least_segments * self.mss)

    def _note(self, sample: Sample) -> bool:
        """Update the values for the other paths; return whether a round trip is over."""
        self.rtt = sample.smoothed or self.rtt
        self.heard = sample.now
        if sample.round == self._round:
            return False
        self._round = sample.round
        self._peak_before, self._peak = self._peak, sample.in_flight
        return True

    def _reduce_to(self, octets: int) -> None:
        super()._reduce_to(octets)
        self._credit = 0.0
