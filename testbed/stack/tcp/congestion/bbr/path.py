"""BBR's measurements of a path: its rate, its delay, and how ACKs bunch together.

draft-ietf-ccwg-bbr-06, sections 5.5.1 to 5.5.9.  Amounts are octets, times nanoseconds, rates
octets per second.
"""

from __future__ import annotations

from collections import deque
from typing import Final

_NS: Final = 1_000_000_000
_MIN_RTT_NS: Final = 10 * _NS  # MinRTTFilterLen, ProbeRTTInterval
_PROBE_RTT_DURATION_NS: Final = _NS // 5


class Rounds:
    """Round trips, counted by packets (section 5.5.1).

    :ivar count: of those that are over.
    :ivar begun: the last ACK has begun another one.
    """

    __slots__ = ("_end", "begun", "count")

    def __init__(self) -> None:
        self.count = 0
        self.begun = False
        self._end = 0

    def take(self, prior: int, total: int, *, valid: bool) -> None:
        """Take an ACK; see :class:`~testbed.stack.tcp.congestion.control.Sample`.

        :param valid: it is known of which transmission it is; else it begins nothing.
        """
        self.begun = valid and prior >= self._end
        if self.begun:
            self._end = total
            self.count += 1

    def restart(self, total: int) -> None:
        """Have a round trip begin with what leaves from now on."""
        self._end = total


class MaxBandwidth:
    """The greatest rate of this probing cycle and of the one before (sections 5.5.2 to 5.5.6)."""

    __slots__ = ("_before", "_current")

    def __init__(self) -> None:
        self._before = self._current = 0

    @property
    def value(self) -> int:
        """Octets per second, 0 before a sample."""
        return max(self._before, self._current)

    def take(self, rate: int, *, limited: bool) -> None:
        """Take a sample; one that the application has limited counts only if it is greater."""
        if rate >= self.value or not limited:
            self._current = max(self._current, rate)

    def advance(self) -> None:
        """Begin another cycle, unless this one has no sample."""
        if self._current:
            self._before, self._current = self._current, 0


class MinRtt:
    """The shortest round-trip time of 10 s, and when to look for it (section 5.3.4.3).

    Both times are 10 s in the text of the working group since May 2026, as in version 1.

    :ivar value: ``None`` before a sample.
    :ivar expired: there was none as short as before for 10 s.
    """

    __slots__ = ("_at", "_ends", "_lasted", "expired", "value")

    def __init__(self) -> None:
        self.value: int | None = None
        self.expired = False
        self._at = 0
        self._ends: int | None = None  # when the present probe may end
        self._lasted = False  # it has, for a round trip

    def look(self, now: int) -> bool:
        """Tell whether the next sample counts whatever it is (UpdateMinRTT)."""
        self.expired = self.value is not None and now > self._at + _MIN_RTT_NS
        return self.expired

    def take(self, rtt: int | None, now: int) -> None:
        """Take a sample, if there is one (UpdateMinRTT)."""
        if rtt is not None and (self.value is None or rtt < self.value or self.expired):
            self.value, self._at = rtt, now

    def begin(self) -> None:
        """Begin a probe: less is sent, until the queue is gone."""
        self._ends = None

    def hold(self, *, little: bool, begun: bool, now: int) -> bool:
        """Take an ACK during a probe; tell whether its time begins here (HandleProbeRTT).

        :param little: as little is in flight as there should be.
        :param begun: the ACK has begun another round trip.
        """
        if self._ends is None and little:
            self._ends = now + _PROBE_RTT_DURATION_NS
            self._lasted = False
            return True
        self._lasted |= begun
        return False

    def done(self, now: int, *, idle: bool = False) -> bool:
        """Tell whether the probe is over; the next is then due in 10 s (CheckProbeRTTDone).

        :param idle: nothing is in flight, which is as good as a round trip.
        """
        if self._ends is None or now <= self._ends or not (self._lasted or idle):
            return False
        self._at = now
        return True


class Aggregation:
    """How much more is acknowledged at a time than the rate accounts for (section 5.5.9).

    :ivar extra: octets, the most of the last round trips.
    """

    __slots__ = ("_begun_ns", "_delivered", "_greatest", "extra")

    def __init__(self) -> None:
        self.extra = 0
        self._begun_ns = 0
        self._delivered = 0
        self._greatest: deque[tuple[int, int]] = deque()  # (round, octets): later ones are less

    def restart(self, now: int) -> None:
        """Measure from now on: nothing was in flight before."""
        self._begun_ns = now

    def take(self, acked: int, rate: int, window: int, rounds: int, length: int, now: int) -> None:
        """Take what an ACK reports as delivered.

        :param rate: at which it should be; ``window`` the most that can be extra.
        :param rounds: round trips counted; of ``length`` of them the greatest amount is kept.
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
