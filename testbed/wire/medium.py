"""A medium that both directions of a wire share, as on Wi-Fi: one frame at a time.

Each direction has its own rate, but frames of both directions share the time. With queues, the
directions take turns while both have frames to send, like two stations that contend with equal
chances (IEEE 802.11, DCF). Without queues, the departure of a frame is fixed at its arrival, so the
medium serves all frames in the order of arrival.
"""

from __future__ import annotations

from testbed.errors import InputError
from testbed.wire.options import Rate


class Medium:
    """The occupation of the medium, and the waiting directions."""

    def __init__(self) -> None:
        self._free_ns = 0  # the time at which the medium is free
        self._last: Side | None = None  # the direction that has sent last
        self._waiting: dict[Side, int] = {}  # since when a direction has something to send

    def sides(self) -> tuple[Side, Side]:
        """Return the sides of the two directions for their models."""
        return Side(self), Side(self)

    def reserve(self, from_ns: int, time_ns: int) -> int:
        """Reserve the medium for a frame as soon as it is free; return when the frame has left."""
        self._free_ns = max(from_ns, self._free_ns) + time_ns
        return self._free_ns

    def turn(self, side: Side, from_ns: int) -> int:
        """Return when a direction may send a frame that is ready at ``from_ns``, and let it wait.

        The direction that sent last comes a nanosecond later, so that the other one goes first.
        """
        self._waiting[side] = from_ns
        begin_ns = max(from_ns, self._free_ns)
        if self._last is not side:
            return begin_ns
        others = (since_ns for other, since_ns in self._waiting.items() if other is not side)
        return begin_ns + any(since_ns <= begin_ns for since_ns in others)

    def sent(self, side: Side, at_ns: int, time_ns: int) -> None:
        """Occupy the medium for a frame that has waited for its turn."""
        self._waiting.pop(side, None)
        self._last = side
        self.reserve(at_ns, time_ns)


class Side:
    """The side of one direction in a medium; see :class:`Medium`."""

    def __init__(self, medium: Medium) -> None:
        self._medium = medium

    def reserve(self, from_ns: int, time_ns: int) -> int:
        """Reserve the medium for a frame."""
        return self._medium.reserve(from_ns, time_ns)

    def turn(self, from_ns: int) -> int:
        """Return when a frame that is ready at a time may be sent."""
        return self._medium.turn(self, from_ns)

    def sent(self, at_ns: int, time_ns: int) -> None:
        """Occupy the medium for a frame that has waited."""
        self._medium.sent(self, at_ns, time_ns)


def check_rate(rate: Rate | None, end: str | None = None) -> None:
    """Check the rate of a direction.

    :param end: the end that it leads to, for the message.
    :raises InputError: there is no rate, or it has options that a medium does not support.
    """
    if rate is None:
        missing = "" if end is None else f"; toward {end!r} there is none"
        raise InputError(f"a shared medium needs a rate in each direction{missing}")
    if rate.burst:
        raise InputError("rate: a shared medium has no burst", hint="leave 'burst' out")
