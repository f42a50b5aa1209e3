"""DCTCP, for queues with a low marking threshold: RFC 8257."""

from __future__ import annotations

from typing import ClassVar, Final

from mypy_extensions import mypyc_attr

from testbed.stack.tcp.congestion.control import Group, Sample
from testbed.stack.tcp.congestion.reno import Reno

_GAIN: Final = 1 / 16  # section 4.2


@mypyc_attr(allow_interpreted_subclasses=True)
class Dctcp(Reno):
    """Reno with a reduction in proportion to the marked data of a round trip.

    Both ends must use it, as each mark must be echoed separately. It is for data centres: beside
    other controls it takes more than its share (section 5).

    :ivar alpha: the smoothed share of marked octets.
    """

    needs_ecn: ClassVar[bool] = True

    __slots__ = ("_delivered", "_echoed", "_full", "_marked", "_round", "alpha")

    def __init__(self, group: Group) -> None:
        super().__init__(group)
        self.alpha = 1.0
        self._delivered = self._marked = 0  # octets of this round trip
        self._round = 0
        self._echoed = False  # whether the last ACK echoed a mark
        self._full = 0  # the window before a reduction by marks, until the next ACK

    def on_ack(self, sample: Sample) -> None:
        """Update the estimate once a round trip (section 3.3); grow as Reno does."""
        # The last ACK reported a loss, not only a mark (section 3.5).
        if self._full and sample.losses:
            self._reduce_to(self._full // 2)
        self._full = 0
        self._echoed = sample.marked > 0
        self._delivered += sample.delivered
        self._marked += sample.marked
        if sample.round != self._round:
            self._round = sample.round
            self.alpha += _GAIN * (self._marked / self._delivered - self.alpha)
            self._delivered = self._marked = 0
        super().on_ack(sample)

    def on_loss(self, used: int, now: int) -> None:
        """Reduce by half of ``alpha`` after a mark, by a half after a loss (section 3.3, 3.5)."""
        if not self._echoed:
            super().on_loss(used, now)
            return
        self._remember()
        self._full = used
        self._reduce_to(int(used * (1 - self.alpha / 2)))
