"""A congestion control that does not control."""

from __future__ import annotations

from typing import Final

from testbed.stack.tcp.congestion.control import NO_THRESHOLD, Group, Sample

SEGMENTS: Final = 32


class FixedWindow:
    """A constant window of 32 segments.  There is one for each subflow."""

    pacing_rate = 0  # ACKs are the clock
    proportional = False
    threshold = NO_THRESHOLD

    def __init__(self, group: Group) -> None:
        del group  # the controls of the connection's other subflows
        self.window = 0

    def start(self, mss: int, segments: int) -> None:
        """Begin: the connection is established."""
        self.window = SEGMENTS * mss

    def resize(self, mss: int) -> None:
        """Keep the window in segments: the path takes smaller ones."""
        self.window = SEGMENTS * mss

    def on_sent(self, octets: int, in_flight: int, now: int) -> None:
        """Octets have left."""

    def on_ack(self, sample: Sample) -> None:
        """Octets were delivered."""

    def on_loss(self, used: int, now: int) -> None:
        """A loss was found; a control that deserves the name sends less now."""

    def on_timeout(self, used: int, now: int, *, again: bool) -> None:
        """The retransmission timer has expired."""

    def on_idle(self, timeouts: int, now: int) -> None:
        """Handle an idle time of a number of timeouts."""

    def on_undo(self) -> None:
        """The last reduction was for nothing."""
