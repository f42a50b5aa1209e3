"""The bounds that follow losses: draft-ietf-ccwg-bbr-06, sections 5.3.3 and 5.5.10."""

from __future__ import annotations

from typing import Final

from testbed.stack.tcp.congestion.control import Loss, Sample

INFINITE: Final = 1 << 60
LOSS_THRESHOLD: Final = 0.02
BETA: Final = 0.7
MARGIN: Final = 0.99  # PacingMarginPercent: what leaves, of the rate of the path
_HEADROOM: Final = 0.15
_MOST_DOUBLINGS: Final = 30


def too_high(lost: int, tx_in_flight: int, mss: int, *, selective: bool) -> bool:
    """Tell whether losses say that too much was in flight (IsInflightTooHigh).

    One lost segment is no rate: with fewer than 50 in flight it would always be more than 2 %.
    There must be two, as in the BBR of google/quiche, one of the implementations that the draft
    names (``quic_bbr2_default_probe_bw_full_loss_count`` in ``quic_protocol_flags_list.h``).
    """
    if not selective:
        return lost > 0
    return lost > max(tx_in_flight * LOSS_THRESHOLD, mss)


def inflight_at_loss(loss: Loss) -> int:
    """Return what was in flight where the losses came to be too many (InflightAtLoss).

    A record may be a burst of many segments of which only the last ones were too much.  If there
    were too many losses before it, all of it was (``bbr_inflight_hi_from_lost_skb`` in google/bbr).
    """
    size = loss.end - loss.start
    before, lost = loss.tx_in_flight - size, loss.lost - size
    return before + max(0, int((LOSS_THRESHOLD * before - lost) / (1 - LOSS_THRESHOLD)))


class LossRound:
    """The deliveries of late, and whether something was lost (section 5.5.10.3).

    :ivar lossy: something was lost in this round trip.
    :ivar over: the last ACK has ended it.
    :ivar rate: the greatest rate of it, and ``delivered`` the greatest amount.
    """

    __slots__ = ("_end", "_gain", "_gain_before", "delivered", "lossy", "over", "rate")

    def __init__(self) -> None:
        self.lossy = self.over = False
        self.rate = self.delivered = 0
        self._end = 0
        self._gain = self._gain_before = 1.0

    def take(self, sample: Sample, gain: float) -> None:
        """Take an ACK, before the model is changed; one without a rate tells of nothing.

        :param gain: at which segments leave now.
        """
        self._gain = min(self._gain, gain)
        self.over = False
        if not sample.rate:
            return
        self.rate = max(self.rate, sample.rate)
        self.delivered = max(self.delivered, sample.total - sample.prior)
        self.over = sample.prior >= self._end
        if self.over:
            self._end = sample.total

    @property
    def allowed(self) -> int:
        """The rate that the path was seen to deliver, had segments left at the rate of the model.

        Of what leaves at 0.99 of it, or less where a queue is drained, no more can be delivered.
        Of the segments that this round trip's ACKs are for, some have left in the one before.
        """
        return int(self.rate / (MARGIN * min(self._gain, self._gain_before)))

    def note(self, total: int) -> None:
        """Note a loss; the round trip of the first one begins here."""
        if not self.lossy:
            self._end = total
        self.lossy = True

    def forgive(self) -> None:
        """Take that nothing was lost."""
        self.lossy = False

    def advance(self, sample: Sample) -> None:
        """Take an ACK, after the model was changed."""
        if self.over:
            self._gain_before, self._gain = self._gain, 1.0
            self.rate, self.delivered = sample.rate, sample.total - sample.prior

    def restart(self) -> None:
        """Begin anew: what follows is sent in another way."""
        self.lossy = False
        self.rate = self.delivered = 0


class ShortTerm:
    """The rate and the amount that this probing cycle's losses allow.

    :ivar rate: bw_shortterm of the draft, ``inflight`` its inflight_shortterm.
    """

    __slots__ = ("inflight", "rate")

    def __init__(self) -> None:
        self.rate = self.inflight = INFINITE

    def reset(self) -> None:
        """Forget what losses have said."""
        self.rate = self.inflight = INFINITE

    def adapt(self, latest: LossRound, rate: int, window: int) -> None:
        """Go down to what was delivered in a lossy round trip, at most by 30 %.

        The draft's answer to the loss of X % is to send X % less (section 5.3.3.8).  So what was
        not delivered because this side has not sent it is no reason to send less.

        :param rate: to begin with, as ``window``.
        """
        before = rate if self.rate == INFINITE else self.rate
        self.rate = max(latest.allowed, int(BETA * before))
        before = window if self.inflight == INFINITE else self.inflight
        self.inflight = max(latest.delivered, int(BETA * before))

    def raise_to(self, rate: int, inflight: int) -> None:
        """Take back what was done for nothing."""
        self.rate, self.inflight = max(self.rate, rate), max(self.inflight, inflight)


class LongTerm:
    """The amount in flight that is safe, by the losses of this and the last probe.

    :ivar inflight: inflight_longterm of the draft.
    """

    __slots__ = ("_acked", "_doublings", "_step", "inflight")

    def __init__(self) -> None:
        self.inflight = INFINITE
        self._acked = 0  # since it was raised
        self._step = INFINITE  # for so many octets acknowledged it is raised by a segment
        self._doublings = 0

    @property
    def known(self) -> bool:
        """Whether there is a limit."""
        return self.inflight < INFINITE

    def with_headroom(self, mss: int) -> int:
        """Return what leaves room for others (InflightWithHeadroom)."""
        if not self.known:
            return INFINITE
        return self.inflight - max(mss, int(_HEADROOM * self.inflight))

    def limit(self, octets: int) -> None:
        """Take from losses what is safe."""
        self.inflight = octets

    def raise_to(self, octets: int) -> None:
        """Take that so much was safe, or that a limit was for nothing."""
        self.inflight = max(self.inflight, octets)

    def refill(self) -> None:
        """Prepare to probe upwards."""
        self._doublings = self._acked = 0

    def steeper(self, window: int, mss: int) -> None:
        """Double the growth for another round trip (RaiseInflightLongtermSlope)."""
        growth = 1 << self._doublings
        self._doublings = min(self._doublings + 1, _MOST_DOUBLINGS)
        self._step = max(window // growth, mss)

    def grow(self, acked: int, mss: int) -> None:
        """Grow by a segment for each step that was acknowledged (ProbeInflightLongtermUpward)."""
        self._acked += acked
        steps, self._acked = divmod(self._acked, self._step)
        self.inflight += steps * mss

    def stop(self) -> None:
        """Probe no further."""
        self._step = INFINITE
