"""HyStart++: leave slow start before the queue is full (RFC 9406)."""

from __future__ import annotations

from typing import Final

_MS: Final = 1_000_000
# Section 4.3.
_MIN_RTT_THRESH: Final = 4 * _MS
_MAX_RTT_THRESH: Final = 16 * _MS
_MIN_RTT_DIVISOR: Final = 8
_N_RTT_SAMPLE: Final = 8
_CSS_GROWTH_DIVISOR: Final = 4
_CSS_ROUNDS: Final = 5
_INFINITY: Final = 1 << 62


class HyStart:
    """Watches the round-trip times of slow start, round by round.

    A round is over when what was in flight at its beginning is acknowledged.  When a round's least
    time has risen, slow start goes on cautiously (conservative slow start, CSS) for a few rounds,
    and ends if the times do not fall again.

    :ivar ended: slow start is to end.
    """

    __slots__ = ("_baseline", "_cautious_rounds", "_current", "_last", "_left", "_samples",
                 "ended")  # fmt: skip

    def __init__(self) -> None:
        self.ended = False
        self._left = 0  # octets of the round
        self._samples = 0
        self._current = _INFINITY  # currentRoundMinRTT
        self._last = _INFINITY  # lastRoundMinRTT
        self._baseline = _INFINITY  # cssBaselineMinRtt
        self._cautious_rounds = 0  # rounds of CSS begun; 0: not in CSS

    def growth(self, octets: int, rtt_ns: int | None, flight: int) -> int:
        """Return by how much to grow for ``octets`` acknowledged (section 4.2).

        :param rtt_ns: the latest sample.
        :param flight: octets from SND.UNA to SND.NXT; those just acknowledged are none of them.
        """
        if self._left <= 0:
            self._begin_round(octets + flight)
        self._left -= octets
        if rtt_ns is not None:
            self._samples += 1
            self._current = min(self._current, rtt_ns)
        if self._samples >= _N_RTT_SAMPLE:
            self._judge()
        return octets // _CSS_GROWTH_DIVISOR if self._cautious_rounds else octets

    def _begin_round(self, octets: int) -> None:
        self._left = octets
        self._last, self._current = self._current, _INFINITY
        self._samples = 0
        if self._cautious_rounds:
            self._cautious_rounds += 1
            self.ended = self._cautious_rounds > _CSS_ROUNDS

    def _judge(self) -> None:
        if self._cautious_rounds:
            if self._current < self._baseline:
                self._cautious_rounds = 0  # it was but a moment: slow start goes on
                self._baseline = _INFINITY
        elif self._last < _INFINITY:
            threshold = max(_MIN_RTT_THRESH, min(self._last // _MIN_RTT_DIVISOR, _MAX_RTT_THRESH))
            if self._current >= self._last + threshold:
                self._baseline = self._current
                self._cautious_rounds = 1
