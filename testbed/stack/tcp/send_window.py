"""The window that the peer offers: SND.WND, SND.WL1, SND.WL2."""

from __future__ import annotations


class SendWindow:
    """The limits that the peer sets for sending.

    :ivar size: SND.WND in octets; ``greatest`` the largest there was.
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
        """Take the peer's window scale option."""
        self.shift = shift

    def begin(self, size: int, seq: int) -> None:
        """Take the window of the segment that establishes the connection."""
        self.size = self.greatest = size
        self._seq, self._ack = seq, 0

    def take(self, size: int, seq: int, ack: int) -> bool:
        """Take a segment's window if it is news (RFC 9293, 3.10.7.4, fifth); tell whether so."""
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
