"""The retransmission timeout (RFC 6298)."""

from __future__ import annotations

from typing import Final

from testbed.stack.tcp.config import SECOND, TcpConfig

_MIN_RTT_AGE_NS: Final = 300 * SECOND  # Linux' tcp_min_rtt_wlen

_AFTER_LOST_SYN_NS: Final = 3 * SECOND


class RttEstimator:
    """The smoothed round-trip time, its variance and minimum, and the resulting timeout.

    Times are in nanoseconds. Before a sample ``smoothed``, ``latest`` and ``minimum`` are ``None``.
    """

    __slots__ = ("_ceiling", "_deviation", "_greatest", "_minimum_at", "_round_end",
                 "_variance_floor", "latest", "minimum", "rto", "smoothed", "variance")  # fmt: skip

    def __init__(self, config: TcpConfig) -> None:
        self.smoothed: int | None = None
        self.latest: int | None = None
        self.minimum: int | None = None
        self.variance = 0
        self._deviation = 0
        self._greatest = 0  # greatest deviation in this round trip
        self._round_end = 0
        self.rto = config.rto_initial_ns
        self._minimum_at = 0
        self._variance_floor = config.rto_min_ns
        self._ceiling = config.rto_max_ns

    def sample(self, rtt: int, latest: int, now: int, una: int, end: int) -> None:
        """Process a sample.

        There may be many samples in a round trip. As in Linux, the mean deviation follows each of
        them, but RTTVAR decreases only once in a round trip, and not below the greatest deviation
        in it. Otherwise it would decay too fast.

        :param rtt: the sample for the timeout. ``latest`` is the one for the minimum, without the
            delay of the ACK.
        :param una: SND.UNA. It and ``end``, SND.NXT, delimit round trips.
        """
        self.latest = latest
        minimum = self.minimum
        if minimum is None or latest <= minimum or now - self._minimum_at > _MIN_RTT_AGE_NS:
            self.minimum, self._minimum_at = latest, now
        if self.smoothed is None:
            self.smoothed = rtt
            self.variance = self._deviation = self._greatest = rtt // 2
            self._round_end = end
        else:
            error = rtt - self.smoothed
            self.smoothed += error // 8
            self._deviation += (abs(error) - self._deviation) // 4
            self._greatest = max(self._greatest, self._deviation)
            self.variance = max(self.variance, self._greatest)
            if una > self._round_end:
                self.variance -= (self.variance - self._greatest) // 4
                self._round_end, self._greatest = end, 0
        self.rto = min(self._ceiling, self.smoothed + max(self._variance_floor, 4 * self.variance))

    def handshake_timed_out(self) -> None:
        """Start with 3 seconds after a retransmitted SYN without a sample (RFC 6298, 5.7)."""
        self.rto = min(self._ceiling, max(self.rto, _AFTER_LOST_SYN_NS))

    def backed_off(self, backoffs: int) -> int:
        """Return the timeout after a number of expiries in a row (RFC 6298, section 5.5)."""
        return min(self._ceiling, self.rto << min(backoffs, 32))
