"""Proportional rate reduction: RFC 9937, formerly 6937."""

from __future__ import annotations


class ProportionalRate:
    """Spreads the data sent during a reduction of the window over the ACKs of a round trip.

    Amounts are in octets.

    :param flight: the octets in flight at the start of the reduction (RecoverFS).
    """

    __slots__ = ("_delivered", "_flight", "_sent")

    def __init__(self, flight: int) -> None:
        self._flight = flight
        self._delivered = self._sent = 0  # octets since the start of recovery

    def sent(self, octets: int) -> None:
        """Record sent octets."""
        self._sent += octets

    def allowed(
        self, delivered: int, flight: int, target: int, mss: int, *, safe: bool, at_least: int
    ) -> int:
        """Return how many octets an ACK allows to send (section 6.2).

        :param delivered: the octets that it reports as delivered. ``flight`` are the octets in
            flight now.
        :param target: the target of the window.
        :param safe: whether SND.UNA has advanced without a sign of another loss (SafeACK).
        :param at_least: how much may be sent in any case, besides the fast retransmission itself.
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
