"""How much of the congestion window is used (RFC 7661), as Linux has it."""

from __future__ import annotations


class WindowUse:
    """What was seen at the moment of the fullest use counts for a whole round trip."""

    __slots__ = ("_end", "_most", "_used_up")

    def __init__(self) -> None:
        self._used_up = False
        self._most = 0  # octets in flight
        self._end = 0  # of the round trip

    def note(self, una: int, end: int, *, used_up: bool) -> None:
        """Note after sending what is outstanding.

        :param used_up: the window leaves no room for another segment.
        """
        flight = end - una
        if used_up or una >= self._end or (not self._used_up and flight > self._most):
            self._used_up, self._most, self._end = used_up, flight, end

    def limits(self, window: int, threshold: int) -> bool:
        """Tell whether the window is what keeps the sender back, so that it may grow.

        In slow start it may do so already when half of it is used.
        """
        return self._used_up or (window < threshold and window < 2 * self._most)
