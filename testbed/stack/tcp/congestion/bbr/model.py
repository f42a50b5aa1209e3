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

    :ivar rate: octets per second that it is believed to deliver now.
    :ivar total: octets delivered.
    :ivar bandwidth: the most that it delivers; ``aggregation`` of ACKs.
    :ivar latest: what it has delivered of late.
    :ivar short: what losses allow until the next probe; ``long`` what was safe in the last ones.
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
        """Take what an ACK measures, before the state is looked at.

        UpdateLatestDeliverySignals, UpdateCongestionSignals and UpdateACKAggregation.

        :param gain: of the rate, at which segments leave now.
        :param starting: the path has not been full yet.
        :param accelerating: losses are for the probe to judge, not for the short term.
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
        """Take that the state is decided (AdvanceLatestDeliverySignals, BoundBWForModel)."""
        self.latest.advance(sample)
        self.rate = min(self.bandwidth.value, self.short.rate)

    def begin_round(self) -> None:
        """Have a round trip begin with what leaves from now on (StartRound)."""
        self.rounds.restart(self.total)

    def note_loss(self) -> None:
        """Note that something was lost (NoteLoss)."""
        self.latest.note(self.total)

    def bdp(self, rate: int) -> int:
        """Return what fills the path at a rate, 0 if its length is not known."""
        return rate * (self.min_rtt.value or 0) // _NS
