"""Explicit congestion notification of one connection (RFC 3168, section 6.1; RFC 8257)."""

from __future__ import annotations

from testbed.packet.segment import CE, CWR, ECE, ECT_0, NOT_ECT, Segment


class Ecn:
    """The agreement, the marks to be echoed, and those to be confirmed.

    :ivar used: both sides want it; until the handshake is over, this side does.
    :ivar accurate: an ACK tells of what it acknowledges, and of nothing else, whether it was marked
        (RFC 8257, section 3.2).
    :ivar echoes: ECE is on each ACK, until CWR comes (section 6.1.3); or DCTCP.CE of RFC 8257.
    """

    __slots__ = ("_changes", "_reduced", "accurate", "echoes", "used")

    def __init__(self, *, wanted: bool, accurate: bool = False) -> None:
        self.used = wanted or accurate
        self.accurate = accurate
        self.echoes = False
        # Where it has changed of late, and what it was before.
        self._changes: tuple[tuple[int, bool], ...] = ()
        self._reduced = False  # CWR is to be set on the next new data

    def negotiate(self, syn: Segment, *, answer: bool) -> None:
        """Take the peer's SYN: it asks with both bits, a SYN,ACK agrees with ECE alone (6.1.1)."""
        wanted = ECE if answer else ECE | CWR
        self.used = self.used and syn.flags & (ECE | CWR) == wanted
        self.accurate = self.accurate and self.used

    def syn_flags(self, *, answer: bool, again: bool) -> int:
        """Return the bits of our own SYN: it asks no more once one has been lost (6.1.1.1)."""
        if not self.used or (again and not answer):
            return 0
        return ECE if answer else ECE | CWR

    def received(self, segment: Segment, position: int, acknowledged: int) -> bool:
        """Take a data segment; tell whether it makes an ACK due at once.

        It does if the network has marked it, or, if marks are told accurately, if it is marked and
        the one before was not, or the other way round.

        :param position: RCV.NXT; ``acknowledged`` what of that an ACK has told of.
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
        """Tell whether ECE is on an ACK of what came before a position, though more has come."""
        while self._changes and self._changes[0][0] < position:
            self._changes = self._changes[1:]
        return self._changes[0][1] if self._changes else self.echoes

    def codepoint(self, *, new_data: bool) -> int:
        """Return the codepoint of a segment where ECN is used: new data is capable (section 6.1.4).

        Where the network marks early, it drops what is not capable, so everything is (RFC 8257,
        section 3.6, as in Linux).
        """
        return ECT_0 if new_data or self.accurate else NOT_ECT

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
