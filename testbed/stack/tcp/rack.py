"""RACK: loss detection by time (RFC 8985, section 6), and the timer of TLP (section 7)."""

from __future__ import annotations

from typing import Final

from testbed.stack.deadlines import NEVER
from testbed.stack.tcp.config import MILLISECOND, SECOND
from testbed.stack.tcp.rtt import RttEstimator
from testbed.stack.tcp.scoreboard import Scoreboard
from testbed.stack.tcp.sent import Sent

DUPLICATE_THRESHOLD: Final = 3  # DupThresh of RFC 6675
_PERSIST_RECOVERIES: Final = 16  # recoveries that keep the window wide (section 6.2, step 4)
_LEAST_PROBE_TIMEOUT_NS: Final = 2 * MILLISECOND
_MAX_DELAYED_ACK_NS: Final = 200 * MILLISECOND  # section 7.2: WCDelAckT


class Rack:
    """The state of RFC 8985, section 5.3."""

    __slots__ = ("_end", "_highest_delivered", "_multiplier", "_persist", "_rtt", "_sent_ns",
                 "reordering_seen")  # fmt: skip

    def __init__(self) -> None:
        self._sent_ns = -1  # RACK.xmit_ts
        self._end = 0  # RACK.end_seq
        self._rtt = 0  # RACK.rtt
        self._highest_delivered = 0  # RACK.fack
        self._multiplier = 1  # RACK.reo_wnd_mult
        self._persist = 0  # RACK.reo_wnd_persist
        self.reordering_seen = False

    def delivered(
        self, records: list[Sent], now: int, rtt: RttEstimator, echo_sent_ns: int | None
    ) -> None:
        """Perform steps 1 to 3 for newly acknowledged records.

        :param echo_sent_ns: the send time of the segment that the peer's timestamp echoes.
        """
        for record in records:
            if record.resent:
                if self._answers_the_original(record, now, rtt, echo_sent_ns):
                    continue
            elif record.end < self._highest_delivered:
                self.reordering_seen = True
            if record.end > self._highest_delivered:
                self._highest_delivered = record.end
            if (record.sent_ns, record.end) > (self._sent_ns, self._end):
                self._sent_ns, self._end = record.sent_ns, record.end
                self._rtt = now - record.sent_ns

    @staticmethod
    def _answers_the_original(
        record: Sent, now: int, rtt: RttEstimator, echo_sent_ns: int | None
    ) -> bool:
        """Return whether an ACK answers a transmission before the last one (step 2)."""
        if echo_sent_ns is not None and echo_sent_ns < record.sent_ns - MILLISECOND:
            return True
        return rtt.minimum is not None and now - record.sent_ns < rtt.minimum

    def detect_losses(
        self, board: Scoreboard, rtt: RttEstimator, now: int, *, recovering: bool, segment: int
    ) -> tuple[list[Sent], int]:
        """Perform step 5: return the lost records, and the time of the next check.

        Records are checked in the order of their last transmission, up to the latest delivered one.
        """
        lost: list[Sent] = []
        if self._sent_ns < 0:
            return lost, NEVER
        wait = self._rtt + self._reordering_window(board, rtt, segment, recovering=recovering)
        latest = (self._sent_ns, self._end)
        for record in board.by_time():
            if (record.sent_ns, record.end) >= latest:
                break
            if record.sent_ns + wait > now:
                return lost, record.sent_ns + wait
            lost.append(record)
        return lost, NEVER

    def _reordering_window(
        self, board: Scoreboard, rtt: RttEstimator, segment: int, *, recovering: bool
    ) -> int:
        """Perform step 4: return how much later than its successors a segment may arrive."""
        if not self.reordering_seen and (
            recovering or board.sacked >= DUPLICATE_THRESHOLD * segment
        ):
            return 0
        window = self._multiplier * (rtt.minimum or 0) // 4
        return min(window, rtt.smoothed or 0)

    def duplicate_reported(self) -> None:
        """Widen the window after a spurious retransmission (DSACK, step 4)."""
        self._multiplier = min(self._multiplier + 1, 255)
        self._persist = _PERSIST_RECOVERIES

    def recovered(self) -> None:
        """Count down the recoveries for which the window stays wide."""
        if self._persist:
            self._persist -= 1
            if not self._persist:
                self._multiplier = 1


def probe_timeout(rtt: RttEstimator, *, one_segment: bool) -> int:
    """Return TLP's PTO (RFC 8985, section 7.2)."""
    if rtt.smoothed is None:
        return SECOND
    timeout = 2 * rtt.smoothed
    if one_segment:
        timeout += _MAX_DELAYED_ACK_NS
    return max(timeout, _LEAST_PROBE_TIMEOUT_NS)
