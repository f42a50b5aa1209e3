"""The rate at which a path delivers (draft-ietf-ccwg-bbr, section 4.1), as Linux measures it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from testbed.stack.tcp.sent import Progress, Sent

_ROUNDS: Final = 10  # as in BBR; a sample counts for so many round trips, at most for twice as many
_NS: Final = 1_000_000_000


class DeliveryRate:
    """The greatest rate of the last round trips.

    Each ACK is a sample: what was delivered since the newest segment it acknowledges was sent,
    over the time that took to send or to be acknowledged, whichever was longer.  A sender with
    little to send measures less than the path can do; so the greatest sample counts, and silence
    does not make it older: a round trip ends when what was sent after its beginning is
    acknowledged.

    :ivar per_second: octets per second, 0 before the first sample.
    :ivar latest: the last sample, 0 if the last ACK gave none.
    :ivar rounds: round trips counted.
    :ivar app_limited: the last sample was limited by the application.
    :ivar delivered: octets, in all; ``prior`` before the segment of the last sample was sent.
    :ivar tx_in_flight: octets in flight when that segment had left.
    :ivar tx_lost: octets that had been found lost until then.
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
        self._delivered_ns = 0  # when the last of them were
        self._first_sent_ns = 0  # when the newest of them was sent
        self._greatest = 0  # of these rounds
        self._before = 0  # of the rounds before
        self._round_end = 0
        self._limited_until = 0  # what leaves before so much is delivered is app-limited

    def at_departure(self, octets: int, in_flight: int, lost: int, now: int) -> Progress:
        """Return how far the connection is when a record of so many octets leaves.

        :param in_flight: octets besides these; ``lost`` what was found lost so far.
        """
        if not in_flight:
            self._first_sent_ns = self._delivered_ns = now
        delivered = self.delivered
        limited = delivered < self._limited_until
        flight = in_flight + octets
        return delivered, self._delivered_ns, self._first_sent_ns, limited, flight, lost

    def ran_dry(self, in_flight: int) -> None:
        """Note that the application, not the window, ended a burst."""
        self._limited_until = self.delivered + in_flight

    def acknowledged(self, records: Iterable[Sent], now: int, minimum: int | None) -> None:
        """Take what an ACK reports as delivered.

        :param minimum: the shortest round-trip time; in less than that nothing can be measured.
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
