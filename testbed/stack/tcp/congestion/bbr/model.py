"""BBR's model of a path: draft-ietf-ccwg-bbr-06, section 5.5."""

from __future__ import annotations

from typing import Final

from testbed.stack.tcp.congestion.bbr.bounds import LongTerm, LossRound, ShortTerm
from testbed.stack.tcp.congestion.bbr.path import Aggregation, MaxBandwidth, MinRtt, Rounds
from testbed.stack.tcp.congestion.control import Sample

_NS: Final = 1_000_000_000
_AGGREGATION_ROUNDS: Final = 10  # ExtraAckedFilterLen


class Model:
    """The capacity of a path, and the part of it that may be used.

    :ivar rate: the estimated delivery rate in octets per second.
    :ivar total: the number of delivered octets.
    :ivar bandwidth: the greatest delivery rate. ``aggregation`` is that of ACKs.
    :ivar latest: the recent deliveries.
    :ivar short: the limits of losses until the next probe. ``long`` are the safe limits of the last
        probes.
    """

    __slots__ = ("aggregation", "bandwidth", "latest", "long", "min_rtt", "rate", "rounds", "short",
                 "total")  # fmt: skip

    def __init__(self) -> None:
        self.rate = 0
        self.total = 0
        self.rounds = Rounds()
        self.bandwidth = MaxBandwidth()
        self.min_rtt = MinRtt()
        self.aggregation = Aggregation()
        self.latest = LossRound()
        self.short = ShortTerm()
        self.long = LongTerm()

    def take(
        self, sample: Sample, window: int, gain: float, *, starting: bool, accelerating: bool
    ) -> None:
        """Update the measurements of an ACK, before the state is updated.

        UpdateLatestDeliverySignals, UpdateCongestionSignals and UpdateACKAggregation.

        :param gain: the present pacing gain.
        :param starting: whether the path was not full yet.
        :param accelerating: whether the probe judges losses, instead of the short-term limits.
        """
        latest = self.latest
        self.total = sample.total
        latest.take(sample, gain)
        self.rounds.take(sample.prior, sample.total, valid=sample.rate > 0)
        if sample.rate:
            self.bandwidth.take(sample.rate, limited=sample.app_limited)
        if latest.over:
            if latest.lossy and not accelerating:
                self.short.adapt(latest, self.bandwidth.value, window)
            latest.forgive()
        length = 1 if starting else _AGGREGATION_ROUNDS
        self.aggregation.take(
            sample.delivered, self.rate, window, self.rounds.count, length, sample.now
        )

    def settle(self, sample: Sample) -> None:
        """Finish an update (AdvanceLatestDeliverySignals, BoundBWForModel)."""
        self.latest.advance(sample)
        self.rate = min(self.bandwidth.value, self.short.rate)

    def begin_round(self) -> None:
        """Start a round trip with the next data sent (StartRound)."""
        self.rounds.restart(self.total)

    def note_loss(self) -> None:
        """Record a loss (NoteLoss)."""
        self.latest.note(self.total)

    def bdp(self, rate: int) -> int:
        """Return the bandwidth-delay product at a rate, 0 if the delay is unknown."""
        return rate * (self.min_rtt.value or 0) // _NS
