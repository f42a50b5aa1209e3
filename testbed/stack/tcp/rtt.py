"""The retransmission timeout (RFC 6298, with RFC 7323's appendix G for many samples a window)."""

from __future__ import annotations

from typing import Final

from testbed.stack.tcp.config import SECOND, TcpConfig

_MIN_RTT_AGE_NS: Final = 300 * SECOND  # Linux' tcp_min_rtt_wlen


class RttEstimator:
    """Smoothed round-trip time, its variance, its minimum, and the timeout that follows.

    All times are nanoseconds; without a sample ``smoothed``, ``latest`` and ``minimum`` are
    ``None``.
    """

    __slots__ = ("_ceiling", "_minimum_at", "_variance_floor", "latest", "minimum", "rto",
                 "smoothed", "variance")  # fmt: skip

    def __init__(self, config: TcpConfig) -> None:
        self.smoothed: int | None = None
        self.latest: int | None = None
        self.minimum: int | None = None
        self.variance = 0
        self.rto = config.rto_initial_ns
        self._minimum_at = 0
        self._variance_floor = config.rto_min_ns
        self._ceiling = config.rto_max_ns

    def sample(self, rtt: int, now: int, expected_samples: int = 1) -> None:
        """Take a measurement.

        :param expected_samples: how many there are in a round trip (RFC 7323, appendix G).
        """
        self.latest = rtt
        if self.minimum is None or rtt <= self.minimum or now - self._minimum_at > _MIN_RTT_AGE_NS:
            self.minimum, self._minimum_at = rtt, now
        if self.smoothed is None:
            self.smoothed = rtt
            self.variance = rtt // 2
        else:
            error = rtt - self.smoothed
            self.variance += (abs(error) - self.variance) // (4 * expected_samples)
            self.smoothed += error // (8 * expected_samples)
        self.rto = min(self._ceiling, self.smoothed + max(self._variance_floor, 4 * self.variance))

    def backed_off(self, backoffs: int) -> int:
        """Return the timeout after so many expiries in a row (RFC 6298, section 5.5)."""
        return min(self._ceiling, self.rto << min(backoffs, 32))
