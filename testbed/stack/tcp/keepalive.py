"""Keep-alives, and the time of the last sign of life."""

from __future__ import annotations

from testbed.stack.deadlines import NEVER
from testbed.stack.tcp.config import TcpConfig


class KeepAlive:
    """Keep-alive (RFC 9293, section 3.8.4).

    :ivar asked: whether a probe was requested.
    :ivar at: when to check whether a probe is due.
    :ivar probes: the number of unanswered probes, including window probes.
    :ivar heard_ns: the time of the last acceptable segment.
    """

    __slots__ = ("_config", "asked", "at", "heard_ns", "probes")

    def __init__(self, config: TcpConfig) -> None:
        self._config = config
        self.at = NEVER
        self.probes = 0
        self.heard_ns = 0
        self.asked = False

    def ask(self) -> None:
        """Request a probe now, regardless of the timer."""
        self.asked = True

    def probe_sent(self) -> None:
        """Record that a requested probe is sent."""
        self.asked = False

    def start(self, now: int) -> None:
        """Start after the handshake."""
        if self._config.keepalive:
            self.at = now + self._config.keepalive_idle_ns

    def configure(self, config: TcpConfig, *, established: bool) -> None:
        """Apply another configuration, counted from the last sign of life."""
        self._config = config
        watched = established and config.keepalive
        self.at = self.heard_ns + config.keepalive_idle_ns if watched else NEVER

    def stop(self) -> None:
        """Stop."""
        self.at = NEVER

    def begin(self, now: int) -> None:
        """Record the start of the connection."""
        self.heard_ns = now

    def heard(self, now: int) -> None:
        """Record a sign of life."""
        self.heard_ns = now
        self.probes = 0

    def probed(self) -> None:
        """Count a probe without an answer so far."""
        self.probes += 1

    def gives_up(self, now: int) -> bool:
        """Return whether too many probes are unanswered, or for too long."""
        limit = self._config.user_timeout_ns
        if limit:
            return self.probes > 0 and now - self.heard_ns >= limit
        return self.probes >= self._config.keepalive_probes

    def due(self, now: int, *, busy: bool) -> bool:
        """Return whether a probe is due now, and set the timer for the next.

        :param busy: whether data is outstanding. Then other timers detect a dead peer.
        """
        config = self._config
        idle_until = self.heard_ns + config.keepalive_idle_ns
        if busy:
            self.at = now + config.keepalive_idle_ns
            return False
        if not self.probes and now < idle_until:
            self.at = idle_until
            return False
        self.at = now + config.keepalive_interval_ns
        return True
