"""The early exit from slow start: HyStart++ (RFC 9406), and the ACK train of HyStart.

S. Ha, I. Rhee, "Taming the elephants: New TCP slow start", Computer Networks 55 (2011). RFC 9406
has only its delay test, which detects a queue a round trip late.
"""

from __future__ import annotations

from typing import Final

from testbed.stack.tcp.congestion.control import Sample

_MS: Final = 1_000_000
# Section 4.3.
_MIN_RTT_THRESH: Final = 4 * _MS
_MAX_RTT_THRESH: Final = 16 * _MS
_MIN_RTT_DIVISOR: Final = 8
_N_RTT_SAMPLE: Final = 8
_CSS_GROWTH_DIVISOR: Final = 4
_CSS_ROUNDS: Final = 5
# Limits of the ACK train, as in Linux.
_TRAIN_GAP: Final = 2 * _MS
_TRAIN_SEGMENTS: Final = 16
_INFINITY: Final = (1 << 62) - 1  # see NEVER of testbed.stack.deadlines


class HyStart:
    """Watches the round-trip times and ACK trains of slow start.

    A round ends when the data in flight at its start is acknowledged. When the smallest round-trip
    time of a round has risen, slow start continues cautiously (conservative slow start, CSS) for a
    few rounds, and ends unless the times fall again.

    Closely spaced ACKs form a train. They arrive at the rate of the path. If a train lasts half of
    the smallest round-trip time, the window, which doubles within a round, fills the path, and slow
    start ends at once.

    :ivar ended: whether slow start must end.
    """

    __slots__ = ("_baseline", "_begun_ns", "_cautious_rounds", "_current", "_last", "_left",
                 "_samples", "_train_ns", "ended")  # fmt: skip

    def __init__(self) -> None:
        self.ended = False
        self._left = 0  # octets left of the round
        self._begun_ns = 0
        self._train_ns = 0  # time of the last ACK of the train at the start of the round
        self._samples = 0
        self._current = _INFINITY  # currentRoundMinRTT
        self._last = _INFINITY  # lastRoundMinRTT
        self._baseline = _INFINITY  # cssBaselineMinRtt
        self._cautious_rounds = 0  # rounds of CSS begun; 0: not in CSS

    def growth(self, sample: Sample, segments: int) -> int:
        """Return the growth of the window for a sample (section 4.2).

        :param segments: the congestion window in segments.
        """
        octets = sample.delivered
        if self._left <= 0:
            self._begin_round(octets + sample.flight, sample.now)
        self._left -= octets
        if sample.rtt is not None:
            self._samples += 1
            self._current = min(self._current, sample.rtt)
        if self._samples >= _N_RTT_SAMPLE:
            self._judge()
        if segments >= _TRAIN_SEGMENTS and sample.minimum is not None:
            self._follow_train(sample.now, sample.minimum)
        return octets // _CSS_GROWTH_DIVISOR if self._cautious_rounds else octets

    def _follow_train(self, now: int, minimum_ns: int) -> None:
        if now - self._train_ns <= _TRAIN_GAP:
            self._train_ns = now
            self.ended |= now - self._begun_ns > minimum_ns // 2

    def _begin_round(self, octets: int, now: int) -> None:
        self._left = octets
        self._begun_ns = self._train_ns = now
        self._last, self._current = self._current, _INFINITY
        self._samples = 0
        if self._cautious_rounds:
            self._cautious_rounds += 1
            self.ended = self._cautious_rounds > _CSS_ROUNDS

    def _judge(self) -> None:
        if self._cautious_rounds:
            if self._current < self._baseline:
                self._cautious_rounds = 0  # the increase was temporary: slow start continues
                self._baseline = _INFINITY
        elif self._last < _INFINITY:
            threshold = max(_MIN_RTT_THRESH, min(self._last // _MIN_RTT_DIVISOR, _MAX_RTT_THRESH))
            if self._current >= self._last + threshold:
                self._baseline = self._current
                self._cautious_rounds = 1
