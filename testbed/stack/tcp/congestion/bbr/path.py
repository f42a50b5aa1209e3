"""BBR's measurements of a path: its rate, its delay, and the aggregation of ACKs.

draft-ietf-ccwg-bbr-06, sections 5.5.1 to 5.5.9. Amounts are in octets, times in nanoseconds, rates
in octets per second.
"""

from __future__ import annotations

from collections import deque
from typing import Final

_NS: Final = 1_000_000_000
_MIN_RTT_NS: Final = 10 * _NS  # MinRTTFilterLen, ProbeRTTInterval
_PROBE_RTT_DURATION_NS: Final = _NS // 5


class Rounds:
    """The packet-timed round trips (section 5.5.1).

    :ivar count: the number of completed round trips.
    :ivar begun: whether the last ACK has started another one.
    """

    __slots__ = ("_end", "begun", "count")

    def __init__(self) -> None:
        self.count = 0
        self.begun = False
        self._end = 0

    def take(self, prior: int, total: int, *, valid: bool) -> None:
        """Process an ACK; see :class:`~testbed.stack.tcp.congestion.control.Sample`.

        :param valid: whether the acknowledged transmission is known. Otherwise no round trip
            starts.
        """
        self.begun = valid and prior >= self._end
        if self.begun:
            self._end = total
            self.count += 1

    def restart(self, total: int) -> None:
        """Start a round trip with the next data sent."""
        self._end = total


class MaxBandwidth:
    """The greatest rate of this probing cycle and the previous one (sections 5.5.2 to 5.5.6)."""

    __slots__ = ("_before", "_current")

    def __init__(self) -> None:
        self._before = self._current = 0

    @property
    def value(self) -> int:
        """The rate in octets per second, 0 before a sample."""
        return max(self._before, self._current)

    def take(self, rate: int, *, limited: bool) -> None:
        """Process a sample. An application-limited one counts only if it is greater."""
        if rate >= self.value or not limited:
            self._current = max(self._current, rate)

    def advance(self) -> None:
        """Start another cycle, unless this one has no sample."""
        if self._current:
            self._before, self._current = self._current, 0


class MinRtt:
    """The shortest round-trip time of 10 s, and its probes (section 5.3.4.3).

    Both times are 10 s in the working group's text since May 2026, as in version 1.

    :ivar value: the shortest time; ``None`` before a sample.
    :ivar expired: whether no sample was as short for 10 s.
    """

    __slots__ = ("_at", "_ends", "_lasted", "expired", "value")

    def __init__(self) -> None:
        self.value: int | None = None
        self.expired = False
        self._at = 0
        self._ends: int | None = None  # when the current probe may end
        self._lasted = False  # the probe has lasted for a round trip

    def look(self, now: int) -> bool:
        """Return whether the next sample replaces the value (UpdateMinRTT)."""
        self.expired = self.value is not None and now > self._at + _MIN_RTT_NS
        return self.expired

    def take(self, rtt: int | None, now: int) -> None:
        """Process a sample, if there is one (UpdateMinRTT)."""
        if rtt is not None and (self.value is None or rtt < self.value or self.expired):
            self.value, self._at = rtt, now

    def begin(self) -> None:
        """Start a probe: less is sent until the queue is drained."""
        self._ends = None

    def hold(self, *, little: bool, begun: bool, now: int) -> bool:
        """Process an ACK during a probe; return whether its duration starts (HandleProbeRTT).

        :param little: whether the octets in flight have reached the target.
        :param begun: whether the ACK has started another round trip.
        """
        if self._ends is None and little:
            self._ends = now + _PROBE_RTT_DURATION_NS
            self._lasted = False
            return True
        self._lasted |= begun
        return False

    def done(self, now: int, *, idle: bool = False) -> bool:
        """Return whether the probe is over. The next one is due in 10 s (CheckProbeRTTDone).

        :param idle: whether nothing is in flight, which counts as a round trip.
        """
        if self._ends is None or now <= self._ends or not (self._lasted or idle):
            return False
        self._at = now
        return True


class Aggregation:
    """The data acknowledged in excess of the rate (section 5.5.9).

    :ivar extra: the greatest excess of the last round trips in octets.
    """

    __slots__ = ("_begun_ns", "_delivered", "_greatest", "extra")

    def __init__(self) -> None:
        self.extra = 0
        self._begun_ns = 0
        self._delivered = 0
        self._greatest: deque[tuple[int, int]] = deque()  # (round, octets): later ones are less

    def restart(self, now: int) -> None:
        """Start again, as nothing was in flight before."""
        self._begun_ns = now

    def take(self, acked: int, rate: int, window: int, rounds: int, length: int, now: int) -> None:
        """Process the delivered octets of an ACK.

        :param rate: the expected rate. ``window`` limits the excess.
        :param rounds: the number of round trips. The maximum is over ``length`` of them.
        """
        expected = rate * (now - self._begun_ns) // _NS
        if self._delivered <= expected:
            self._delivered = expected = 0
            self._begun_ns = now
        self._delivered += acked
        self._keep(min(self._delivered - expected, window), rounds)
        while self._greatest[0][0] <= rounds - length:
            self._greatest.popleft()
        self.extra = self._greatest[0][1]

    def _keep(self, octets: int, rounds: int) -> None:
        greatest = self._greatest
        while greatest and greatest[-1][1] <= octets:
            greatest.pop()
        if not greatest or greatest[-1][0] != rounds:
            greatest.append((rounds, octets))
