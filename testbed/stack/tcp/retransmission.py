"""The timers of the sending half: retransmission, window probes, tail loss probe."""

from __future__ import annotations

from testbed.stack.deadlines import NEVER
from testbed.stack.tcp.rack import probe_timeout
from testbed.stack.tcp.rtt import RttEstimator


class RetransmissionTimer:
    """The retransmission timer (RFC 6298, section 5) and that of window probes, which excludes it.

    :ivar at: when the retransmission timer expires; ``persist_at``: when a window is probed.
    :ivar backoffs: expiries, or probes of a closed window, without any answer.
    :ivar timeouts: expiries in all.
    """

    __slots__ = ("_even", "_rtt", "at", "backoffs", "persist_at", "timeouts")

    def __init__(self, rtt: RttEstimator) -> None:
        self._rtt = rtt
        self.at = NEVER
        self.persist_at = NEVER
        self.backoffs = 0
        self.timeouts = 0
        self._even = 0  # of the first expiries, those that do not back off

    def begin(self, even: int) -> None:
        """Let so many of the first timeouts be followed by one as long, until an answer comes."""
        self._even = even

    @property
    def timeout_ns(self) -> int:
        """The timeout, backed off."""
        return self._rtt.backed_off(max(0, self.backoffs - self._even))

    def start(self, now: int) -> None:
        """Start the retransmission timer if it is not running (section 5.1)."""
        if self.at == NEVER:
            self.at = now + self.timeout_ns

    def restart(self, now: int) -> None:
        """Start it anew (section 5.3)."""
        self.at = now + self.timeout_ns

    def stop(self) -> None:
        """Stop it: nothing is outstanding (section 5.2)."""
        self.at = NEVER

    def expire(self) -> None:
        """Count an expiry (section 5.5)."""
        self.timeouts += 1
        self.backoffs += 1

    def answered(self) -> None:
        """Note an answer: the next timeout is not backed off."""
        self.backoffs = self._even = 0

    def await_window(self, now: int) -> None:
        """Probe the window if it has not opened in time."""
        self.persist_at = now + self.timeout_ns

    def window_probed(self, now: int) -> None:
        """Note a probe that an answer opens the window to, or a later one."""
        self.backoffs += 1
        self.await_window(now)

    def stop_persisting(self) -> None:
        """Probe no more for now."""
        self.persist_at = NEVER

    def window_opened(self) -> None:
        """Note that the window is open."""
        if self.persist_at != NEVER:
            self.persist_at = NEVER
            self.backoffs = 0


class TailProbe:
    """The tail loss probe (RFC 8985, section 7).

    :ivar at: when a probe is due; while one is out, when it has gone unanswered for as long.
    :ivar end: TLP.end_seq while a probe is out.
    :ivar resent: TLP.is_retrans.
    :ivar probes: how many were sent; ``repaired`` a loss that nothing else had found.
    """

    __slots__ = ("at", "end", "probes", "repaired", "resent")

    def __init__(self) -> None:
        self.at = NEVER
        self.end: int | None = None
        self.resent = False
        self.probes = self.repaired = 0

    def arm(self, now: int, rtt: RttEstimator, flight: int, mss: int, latest: int) -> None:
        """Start or restart the timer, unless a probe is out (section 7.2).

        :param latest: the retransmission timer's expiry, which it replaces.
        """
        if self.end is None:
            self.at = min(now + probe_timeout(rtt, one_segment=flight <= mss), latest)

    def stop(self) -> None:
        """Send none."""
        self.at = NEVER

    def sent(self, end: int, unanswered_at: int, *, resent: bool) -> None:
        """Note a probe (section 7.3).

        :param end: SND.NXT.
        :param resent: it was no new data.
        """
        self.end, self.at, self.resent = end, unanswered_at, resent
        self.probes += 1

    def acknowledged(self, una: int) -> bool:
        """Take an ACK; tell whether it says that the probe has repaired a loss (section 7.4.2).

        If the probe was a retransmission and the peer never said that it had got both, the
        original was lost: that is a signal of congestion though nothing is left to repair.
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
        """Take a DSACK that ends at ``end``: the probe was not needed."""
        if end == self.end:
            self.end, self.at = None, NEVER

    def forget(self) -> None:
        """Give up on it: the retransmission timer has expired."""
        self.at, self.end = NEVER, None
