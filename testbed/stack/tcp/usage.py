"""The use of the congestion window (RFC 7661), as in Linux."""

from __future__ import annotations


class WindowUse:
    """The maximum of octets in flight within a round trip, and whether it used up the window.

    :ivar used_up: whether the window was used up.
    """

    __slots__ = ("_end", "_most", "used_up")

    def __init__(self) -> None:
        self.used_up = False
        self._most = 0  # most octets in flight
        self._end = 0  # end of the round trip

    def note(self, una: int, end: int, *, used_up: bool) -> None:
        """Record the outstanding octets after sending.

        :param used_up: whether the window leaves no room for another segment.
        """
        flight = end - una
        if used_up or una >= self._end or (not self.used_up and flight > self._most):
            self.used_up, self._most, self._end = used_up, flight, end

    def octets(self, window: int, flight: int) -> int:
        """Return the maximum of octets in flight within a round trip.

        So a loss in a burst has the same effect however much of the burst is acknowledged.

        :param flight: the octets outstanding now.
        """
        return window if self.used_up else min(window, max(self._most, flight))

    def limits(self, window: int, threshold: int) -> bool:
        """Return whether the window limits the sender, so that it may grow.

        In slow start it may grow if half of it is used.
        """
        return self.used_up or (window < threshold and window < 2 * self._most)
