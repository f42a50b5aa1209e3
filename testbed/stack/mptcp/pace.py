"""The delivery time of a subflow, estimated from its recent delivery rate.

The smoothed round-trip time reflects the subflow's own queue, that of a burst, too late. A sender
here is that of the subflow's TCP.
"""

from __future__ import annotations

from typing import Final

from testbed.stack.tcp.sender import Sender

_S: Final = 1_000_000_000
_GAIN: Final = 8  # the same gain as for the smoothed round-trip time (RFC 6298)


class Pace:
    """What the acknowledgments of a subflow tell about the time that its data takes.

    The queue of a path may also hold the data of other connections. The delivery rate of a subflow
    that sends little does not reflect that, but its round-trip times do: what they exceed the time
    of the subflow's own data by was spent behind the data of others. Segments of a burst also wait
    for each other. So the estimate grows slowly, and the first segment of a burst, which waits only
    for others, corrects it at once.

    :ivar behind_ns: the estimated time that a segment waits for the data of others.
    """

    __slots__ = ("behind_ns",)

    def __init__(self) -> None:
        self.behind_ns = 0

    def acknowledged(self, sender: Sender) -> None:
        """Process an ACK of new data."""
        latest, minimum = sender.rtt.latest, sender.rtt.minimum
        if latest is None or minimum is None:
            return
        own = max(minimum, sender.rate.tx_in_flight * _S // _rate(sender))
        excess = max(0, latest - own)
        self.behind_ns = min(excess, self.behind_ns + (excess - self.behind_ns) // _GAIN)

    def expected_ns(self, sender: Sender, octets: int) -> int | None:
        """Return the time until its data and this many octets more are acknowledged.

        What does not fit into the congestion window leaves when the oldest data in flight is
        acknowledged: soon if ACKs arrive evenly, after a round trip if the window was one burst.
        ``None`` before there is a sample of the round-trip time.
        """
        minimum = sender.rtt.minimum
        if minimum is None:
            return None
        octets += _ahead(sender)
        round_trip = self.behind_ns + minimum
        time = self.behind_ns + max(minimum, sending_ns(sender, octets))
        if octets > sender.recovery.window:
            time = max(time, 2 * round_trip - sender.board.span_ns)
        return time

    def within(self, sender: Sender, ns: int) -> int:
        """Return how many octets more could be acknowledged in a time; may be negative."""
        return _rate(sender) * (ns - self.behind_ns) // _S - _ahead(sender)


def sending_ns(sender: Sender, octets: int) -> int:
    """Return the time to send this many octets."""
    return octets * _S // _rate(sender)


def _ahead(sender: Sender) -> int:
    """How many octets are before the data that is given next."""
    return sender.recovery.in_flight + sender.queue.octets


def _rate(sender: Sender) -> int:
    """The rate in octets per second; before a measurement, a congestion window per round trip."""
    measured = sender.rate.per_second
    return measured or max(1, sender.recovery.window * _S // max(1, sender.rtt.smoothed or 0))
