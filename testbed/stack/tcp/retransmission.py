"""The timers of the sending side: retransmission, window probes, tail loss probe."""

from __future__ import annotations

from testbed.stack.deadlines import NEVER
from testbed.stack.tcp.rack import probe_timeout
from testbed.stack.tcp.rtt import RttEstimator


class RetransmissionTimer:
    """The timers of retransmission (RFC 6298, section 5) and of window probes. At most one runs.

    :ivar at: when the retransmission timer expires. ``persist_at`` is the time of the next window
        probe.
    :ivar unanswered: the number of expiries or window probes without an answer.
    :ivar backoffs: how many of them have doubled the timeout since the last sample of the
        round-trip time. An ACK of retransmitted data is an answer, but no sample (Karn's
        algorithm).
    :ivar timeouts: the number of all expiries.
    """

    __slots__ = ("_even", "_rtt", "at", "backoffs", "persist_at", "timeouts", "unanswered")

    def __init__(self, rtt: RttEstimator) -> None:
        self._rtt = rtt
        self.at = NEVER
        self.persist_at = NEVER
        self.backoffs = self.unanswered = 0
        self.timeouts = 0
        self._even = 0  # number of first expiries that do not back off

    def begin(self, even: int) -> None:
        """Set how many of the first timeouts do not double the next one."""
        self._even = even

    @property
    def timeout_ns(self) -> int:
        """The timeout with its backoff."""
        return self._rtt.backed_off(max(0, self.backoffs - self._even))

    def start(self, now: int) -> None:
        """Start the retransmission timer if it is not running (section 5.1)."""
        if self.at == NEVER:
            self.at = now + self.timeout_ns

    def restart(self, now: int) -> None:
        """Restart the timer (section 5.3)."""
        self.at = now + self.timeout_ns

    def stop(self) -> None:
        """Stop the timer, as nothing is outstanding (section 5.2)."""
        self.at = NEVER

    def expire(self) -> None:
        """Count an expiry (section 5.5)."""
        self.timeouts += 1
        self.unanswered += 1
        self.backoffs += 1

    def answered(self) -> None:
        """Record an answer. The timeout stays as it is."""
        self.unanswered = 0

    def collapse(self) -> None:
        """End the backoff, as the timeout was computed again (section 5, last paragraph)."""
        self.backoffs = self._even = 0

    def await_window(self, now: int) -> None:
        """Start the timer of window probes."""
        self.persist_at = now + self.timeout_ns

    def window_probed(self, now: int) -> None:
        """Record a window probe, and set the time of the next one."""
        self.unanswered += 1
        self.backoffs += 1
        self.await_window(now)

    def stop_persisting(self) -> None:
        """Stop the timer of window probes."""
        self.persist_at = NEVER

    def window_opened(self) -> None:
        """Record that the window is open."""
        if self.persist_at != NEVER:
            self.persist_at = NEVER
            self.backoffs = self.unanswered = 0


class TailProbe:
    """The tail loss probe (RFC 8985, section 7).

    :ivar at: when a probe is due. After a probe, when it counts as unanswered.
    :ivar end: TLP.end_seq while a probe is outstanding.
    :ivar resent: TLP.is_retrans.
    :ivar probes: the number of probes. ``repaired`` of them repaired a loss that nothing else had
        detected.
    """

    __slots__ = ("at", "end", "probes", "repaired", "resent")

    def __init__(self) -> None:
        self.at = NEVER
        self.end: int | None = None
        self.resent = False
        self.probes = self.repaired = 0

    def arm(self, now: int, rtt: RttEstimator, flight: int, mss: int, latest: int) -> None:
        """Start or restart the timer, unless a probe is outstanding (section 7.2).

        :param latest: the expiry of the retransmission timer, which it replaces.
        """
        if self.end is None:
            self.at = min(now + probe_timeout(rtt, one_segment=flight <= mss), latest)

    def stop(self) -> None:
        """Stop the timer."""
        self.at = NEVER

    def sent(self, end: int, unanswered_at: int, *, resent: bool) -> None:
        """Record a probe (section 7.3).

        :param end: SND.NXT.
        :param resent: whether it was a retransmission.
        """
        self.end, self.at, self.resent = end, unanswered_at, resent
        self.probes += 1

    def acknowledged(self, una: int) -> bool:
        """Process an ACK; return whether the probe has repaired a loss (section 7.4.2).

        If the probe was a retransmission and the peer did not report a duplicate, the original was
        lost. That is a sign of congestion although nothing is left to repair.
        """
        if self.end is None:
            return False
        self.at = NEVER
        if una < self.end or (self.resent and una == self.end):
            return False
        self.end = None
        self.repaired += self.resent
        return self.resent

    def duplicate(self, end: int) -> None:
        """Process a DSACK that ends at ``end``: the probe was not needed."""
        if end == self.end:
            self.end, self.at = None, NEVER

    def forget(self) -> None:
        """Forget the probe after the expiry of the retransmission timer."""
        self.at, self.end = NEVER, None
