"""The delivery rate of a path (draft-ietf-ccwg-bbr, section 4.1), as Linux measures it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from testbed.stack.tcp.sent import Progress, Sent

_ROUNDS: Final = 10  # as in BBR; a sample counts for this number of round trips up to twice as many
_NS: Final = 1_000_000_000


class DeliveryRate:
    """The greatest delivery rate of the last round trips.

    Each ACK gives a sample: the octets delivered since its newest acknowledged segment was sent,
    over the time to send or to acknowledge them, whichever was longer. A sender with little data
    measures less than the path can deliver, so the greatest sample counts. Silence does not expire
    it: a round trip ends when data that was sent after its start is acknowledged.

    :ivar per_second: the rate in octets per second, 0 before the first sample.
    :ivar latest: the last sample, 0 if the last ACK gave none.
    :ivar rounds: the number of round trips.
    :ivar app_limited: whether the last sample was application-limited.
    :ivar delivered: all delivered octets. ``prior`` of them were delivered before the segment of
        the last sample was sent.
    :ivar tx_in_flight: the octets in flight just after that segment was sent.
    :ivar tx_lost: the octets marked lost until then.
    """

    __slots__ = ("_before", "_delivered_ns", "_first_sent_ns", "_greatest", "_limited_until",
                 "_round_end", "app_limited", "delivered", "latest", "per_second", "prior",
                 "rounds", "tx_in_flight", "tx_lost")  # fmt: skip

    def __init__(self) -> None:
        self.per_second = 0
        self.latest = 0
        self.rounds = 0
        self.app_limited = False
        self.delivered = 0
        self.prior = 0
        self.tx_in_flight = 0
        self.tx_lost = 0
        self._delivered_ns = 0  # time of the last delivery
        self._first_sent_ns = 0  # send time of the newest delivered data
        self._greatest = 0  # greatest rate of the current rounds
        self._before = 0  # greatest rate of the rounds before
        self._round_end = 0
        self._limited_until = 0  # data sent before this much is delivered is app-limited

    def at_departure(self, octets: int, in_flight: int, lost: int, now: int) -> Progress:
        """Return the state of the connection when a record of this size is sent.

        :param in_flight: the other octets in flight. ``lost`` are the octets marked lost so far.
        """
        if not in_flight:
            self._first_sent_ns = self._delivered_ns = now
        delivered = self.delivered
        limited = delivered < self._limited_until
        flight = in_flight + octets
        return delivered, self._delivered_ns, self._first_sent_ns, limited, flight, lost

    def ran_dry(self, in_flight: int) -> None:
        """Record that sending is application-limited."""
        self._limited_until = self.delivered + in_flight

    def acknowledged(self, records: Iterable[Sent], now: int, minimum: int | None) -> None:
        """Process the delivered octets of an ACK.

        :param minimum: the shortest round-trip time. A shorter interval gives no sample.
        """
        self.latest = 0
        newest: Sent | None = None
        for record in records:
            self.delivered += record.end - record.start
            if newest is None or record.sent_ns >= newest.sent_ns:
                newest = record
        if newest is None:
            return
        prior, delivered_ns, first_sent_ns, limited, self.tx_in_flight, self.tx_lost = (
            newest.progress
        )
        self.prior, self.app_limited = prior, limited
        self._delivered_ns, self._first_sent_ns = now, newest.sent_ns
        if prior >= self._round_end:
            self._begin_round()
        interval = max(newest.sent_ns - first_sent_ns, now - delivered_ns)
        if minimum is not None and interval >= max(minimum, 1):
            self.latest = (self.delivered - prior) * _NS // interval
            self._greatest = max(self._greatest, self.latest)
            self.per_second = max(self._greatest, self._before)

    def _begin_round(self) -> None:
        self._round_end = self.delivered
        self.rounds += 1
        if self.rounds % _ROUNDS == 0:
            self._before, self._greatest = self._greatest, 0
