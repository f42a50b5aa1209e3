"""Proportional rate reduction: RFC 9937, formerly 6937."""

from __future__ import annotations


class ProportionalRate:
    """Spreads what is sent while the window is reduced over the ACKs of a round trip.

    All amounts are octets.

    :param flight: what is in flight when the reduction begins (RecoverFS).
    """

    __slots__ = ("_delivered", "_flight", "_sent")

    def __init__(self, flight: int) -> None:
        self._flight = flight
        self._delivered = self._sent = 0  # since then

    def sent(self, octets: int) -> None:
        """Note what leaves."""
        self._sent += octets

    def allowed(
        self, delivered: int, flight: int, target: int, mss: int, *, safe: bool, at_least: int
    ) -> int:
        """Return how much an ACK lets go (section 6.2).

        :param delivered: what it reports; ``flight`` is what is in flight now.
        :param target: what the window is going to be.
        :param safe: SND.UNA has advanced, and nothing says of a further loss (SafeACK).
        :param at_least: what may leave in any case, besides the fast retransmission itself.
        """
        self._delivered += delivered
        if flight > target:
            allowed = -(-self._delivered * target // self._flight) - self._sent
        else:
            allowed = max(self._delivered - self._sent, delivered)
            if safe:
                allowed += mss
            allowed = min(target - flight, allowed)
        return max(allowed, at_least if self._sent else mss, 0)
