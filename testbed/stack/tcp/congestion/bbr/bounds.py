"""The bounds that losses set: draft-ietf-ccwg-bbr-06, sections 5.3.3 and 5.5.10."""

from __future__ import annotations

from typing import Final

from testbed.stack.tcp.congestion.control import Loss, Sample

INFINITE: Final = 1 << 60
LOSS_THRESHOLD: Final = 0.02
BETA: Final = 0.7
MARGIN: Final = 0.99  # 1 - PacingMarginPercent / 100
_HEADROOM: Final = 0.15
_MOST_DOUBLINGS: Final = 30


def too_high(lost: int, tx_in_flight: int, mss: int, *, selective: bool) -> bool:
    """Return whether losses show that too much was in flight (IsInflightTooHigh).

    One lost segment is no loss rate: with fewer than 50 in flight it would always exceed 2 %. At
    least two are needed, as in the BBR of google/quiche, one of the implementations that the draft
    names (``quic_bbr2_default_probe_bw_full_loss_count`` in ``quic_protocol_flags_list.h``).
    """
    if not selective:
        return lost > 0
    return lost > max(tx_in_flight * LOSS_THRESHOLD, mss)


def inflight_at_loss(loss: Loss) -> int:
    """Return the octets in flight at which the losses became too many (InflightAtLoss).

    A record may be a burst of many segments of which only the last ones were too many. If there
    were too many losses before it, the whole record was (``bbr_inflight_hi_from_lost_skb`` in
    google/bbr).
    """
    size = loss.end - loss.start
    before, lost = loss.tx_in_flight - size, loss.lost - size
    return before + max(0, int((LOSS_THRESHOLD * before - lost) / (1 - LOSS_THRESHOLD)))


class LossRound:
    """The deliveries and losses of the present round trip (section 5.5.10.3).

    :ivar lossy: whether data was lost in this round trip.
    :ivar over: whether the last ACK has ended the round trip.
    :ivar rate: its greatest delivery rate. ``delivered`` is its greatest delivered amount.
    """

    __slots__ = ("_end", "_gain", "_gain_before", "delivered", "lossy", "over", "rate")

    def __init__(self) -> None:
        self.lossy = self.over = False
        self.rate = self.delivered = 0
        self._end = 0
        self._gain = self._gain_before = 1.0

    def take(self, sample: Sample, gain: float) -> None:
        """Process an ACK before the model is updated. An ACK without a rate is ignored.

        :param gain: the present pacing gain.
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
        """The rate that the path would have delivered, had segments left at the rate of the model.

        Segments leave at 0.99 of that rate, or less while a queue is drained, so the measured
        delivery cannot exceed that. Some of the segments that this round trip's ACKs report left in
        the round trip before.
        """
        return int(self.rate / (MARGIN * min(self._gain, self._gain_before)))

    def note(self, total: int) -> None:
        """Record a loss. The first one starts a round trip."""
        if not self.lossy:
            self._end = total
        self.lossy = True

    def forgive(self) -> None:
        """Forget the loss."""
        self.lossy = False

    def advance(self, sample: Sample) -> None:
        """Process an ACK after the model was updated."""
        if self.over:
            self._gain_before, self._gain = self._gain, 1.0
            self.rate, self.delivered = sample.rate, sample.total - sample.prior

    def restart(self) -> None:
        """Start again, because the sending rate changes."""
        self.lossy = False
        self.rate = self.delivered = 0


class ShortTerm:
    """The rate and the amount that the losses of this probing cycle allow.

    :ivar rate: bw_shortterm of the draft. ``inflight`` is its inflight_shortterm.
    """

    __slots__ = ("inflight", "rate")

    def __init__(self) -> None:
        self.rate = self.inflight = INFINITE

    def reset(self) -> None:
        """Remove both limits."""
        self.rate = self.inflight = INFINITE

    def adapt(self, latest: LossRound, rate: int, window: int) -> None:
        """Reduce to what was delivered in a lossy round trip, by at most 30 %.

        The draft reduces by X % for a loss of X % (section 5.3.3.8). Data that was not delivered
        because this side did not send it is no reason to reduce.

        :param rate: the initial rate. ``window`` is the initial amount.
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
        self._acked = 0  # octets acknowledged since the last raise
        self._step = INFINITE  # octets acknowledged per raise by one segment
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
        """Record that so much was safe, or that a limit was for nothing."""
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
