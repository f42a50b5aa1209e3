"""Explicit congestion notification of one connection (RFC 3168, section 6.1)."""

from __future__ import annotations

from testbed.stack.packet.segment import CE, CWR, ECE, Segment


class Ecn:
    """What was agreed, what is to be echoed, and what is to be confirmed.

    :ivar used: both sides want it; until the handshake is over, this side does.
    :ivar echoes: ECE is on each ACK, until CWR comes (section 6.1.3).
    """

    __slots__ = ("_reduced", "echoes", "used")

    def __init__(self, *, wanted: bool) -> None:
        self.used = wanted
        self.echoes = False
        self._reduced = False  # CWR is to be set on the next new data

    def negotiate(self, syn: Segment, *, answer: bool) -> None:
        """Take the peer's SYN: it asks with both bits, a SYN,ACK agrees with ECE alone (6.1.1)."""
        wanted = ECE if answer else ECE | CWR
        self.used = self.used and syn.flags & (ECE | CWR) == wanted

    def syn_flags(self, *, answer: bool, again: bool) -> int:
        """Return the bits of our own SYN: it asks no more once one has been lost (6.1.1.1)."""
        if not self.used or (again and not answer):
            return 0
        return ECE if answer else ECE | CWR

    def received(self, segment: Segment) -> bool:
        """Take a data segment; tell whether the network has marked it."""
        if segment.flags & CWR:
            self.echoes = False
        if segment.ecn == CE:
            self.echoes = True
        return segment.ecn == CE

    def reduced(self) -> None:
        """Note that the congestion window was reduced, which the peer is to be told (6.1.2)."""
        self._reduced = self.used

    def withdraw(self) -> None:
        """Note that the reduction was taken back before the peer was told."""
        self._reduced = False

    def on_new_data(self) -> int:
        """Return the flags for a segment of new data, at its departure."""
        flags = CWR if self._reduced else 0
        self._reduced = False
        return flags
