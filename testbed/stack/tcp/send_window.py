"""The window that the peer offers: SND.WND, SND.WL1, SND.WL2."""

from __future__ import annotations


class SendWindow:
    """The send window of a connection.

    :ivar size: SND.WND in octets. ``greatest`` is the largest one so far.
    :ivar shift: Snd.Wind.Shift.
    """

    __slots__ = ("_ack", "_seq", "greatest", "shift", "size")

    def __init__(self) -> None:
        self.size = 0
        self.greatest = 0
        self.shift = 0
        self._seq = -1  # SND.WL1
        self._ack = -1  # SND.WL2

    def scale(self, shift: int) -> None:
        """Process the peer's window scale option."""
        self.shift = shift

    def begin(self, size: int, seq: int) -> None:
        """Process the window of the segment that establishes the connection."""
        self.size = self.greatest = size
        self._seq, self._ack = seq, 0

    def take(self, size: int, seq: int, ack: int) -> bool:
        """Update the window from a newer segment; return whether it did (RFC 9293, 3.10.7.4)."""
        if not (
            self._seq < seq
            or (self._seq == seq and self._ack <= ack)
            or (ack >= self._ack and size > self.size)
        ):
            return False
        self._seq, self._ack = seq, ack
        self.size = size
        if size > self.greatest:
            self.greatest = size
        return True
