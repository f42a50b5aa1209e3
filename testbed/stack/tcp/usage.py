"""How much of the congestion window is used (RFC 7661), as Linux has it."""

from __future__ import annotations


class WindowUse:
    """The most octets in flight within a round trip, and whether they used up the window.

    :ivar used_up: they did.
    """

    __slots__ = ("_end", "_most", "used_up")

    def __init__(self) -> None:
        self.used_up = False
        self._most = 0  # octets in flight
        self._end = 0  # of the round trip

    def note(self, una: int, end: int, *, used_up: bool) -> None:
        """Note after sending what is outstanding.

        :param used_up: the window leaves no room for another segment.
        """
        flight = end - una
        if used_up or una >= self._end or (not self.used_up and flight > self._most):
            self.used_up, self._most, self._end = used_up, flight, end

    def octets(self, window: int, flight: int) -> int:
        """Return the most octets of the window that were in flight within a round trip.

        So it does not matter how much of a burst has been acknowledged when a loss is found in it.

        :param flight: what is outstanding now.
        """
        return window if self.used_up else min(window, max(self._most, flight))

    def limits(self, window: int, threshold: int) -> bool:
        """Tell whether the window is what keeps the sender back, so that it may grow.

        In slow start it may grow as soon as half of it is used.
        """
        return self.used_up or (window < threshold and window < 2 * self._most)
