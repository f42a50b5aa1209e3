"""Explicit congestion notification of one connection (RFC 3168, section 6.1; RFC 8257)."""

from __future__ import annotations

from testbed.packet.segment import CE, CWR, ECE, ECT_0, NOT_ECT, Segment


class Ecn:
    """The negotiation of ECN, the marks to echo, and the reductions to confirm.

    :ivar used: whether both sides use it. Before the handshake is complete: whether this side
        offers it.
    :ivar accurate: whether an ACK reports exactly the marks of the segments that it acknowledges
        (RFC 8257, section 3.2).
    :ivar echoes: whether each ACK has ECE, until CWR arrives (section 6.1.3); or DCTCP.CE of RFC
        8257.
    """

    __slots__ = ("_changes", "_reduced", "accurate", "echoes", "used")

    def __init__(self, *, wanted: bool, accurate: bool = False) -> None:
        self.used = wanted or accurate
        self.accurate = accurate
        self.echoes = False
        # The position of its last change, and the value before.
        self._changes: tuple[tuple[int, bool], ...] = ()
        self._reduced = False  # whether the next new data has CWR

    def negotiate(self, syn: Segment, *, answer: bool) -> None:
        """Process the peer's SYN or SYN/ACK (6.1.1).

        A SYN requests ECN by both bits. A SYN/ACK agrees by ECE alone.
        """
        wanted = ECE if answer else ECE | CWR
        self.used = self.used and syn.flags & (ECE | CWR) == wanted
        self.accurate = self.accurate and self.used

    def syn_flags(self, *, answer: bool, again: bool) -> int:
        """Return the bits of our SYN. A retransmitted SYN does not request ECN (6.1.1.1)."""
        if not self.used or (again and not answer):
            return 0
        return ECE if answer else ECE | CWR

    def received(self, segment: Segment, position: int, acknowledged: int) -> bool:
        """Process a data segment; return whether it requires an immediate ACK.

        It does if the network has marked it. With accurate echoes it does if its mark differs from
        that of the segment before.

        :param position: RCV.NXT. ``acknowledged`` is the position that ACKs have acknowledged.
        """
        marked = segment.ecn == CE
        if self.accurate:
            if marked == self.echoes:
                return False
            if position > acknowledged:
                self._changes += ((position, self.echoes),)
            self.echoes = marked
            return True
        if segment.flags & CWR:
            self.echoes = False
        if marked:
            self.echoes = True
        return marked

    def echoed(self, position: int) -> bool:
        """Return whether an ACK of the data before a position has ECE.

        Later data may have arrived with another mark.
        """
        while self._changes and self._changes[0][0] < position:
            self._changes = self._changes[1:]
        return self._changes[0][1] if self._changes else self.echoes

    def codepoint(self, *, new_data: bool) -> int:
        """Return the ECN codepoint of a segment: new data is ECN-capable (section 6.1.4).

        With accurate echoes all segments are ECN-capable, because a queue with a low marking
        threshold drops others (RFC 8257, section 3.6, as in Linux).
        """
        return ECT_0 if new_data or self.accurate else NOT_ECT

    def reduced(self) -> None:
        """Record a reduction of the congestion window, which CWR reports to the peer (6.1.2)."""
        self._reduced = self.used

    def withdraw(self) -> None:
        """Record that the reduction was undone before CWR was sent."""
        self._reduced = False

    def on_new_data(self) -> int:
        """Return the flags of a segment of new data that is sent now."""
        flags = CWR if self._reduced else 0
        self._reduced = False
        return flags
