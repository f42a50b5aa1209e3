"""Whether the peer is there: what was last heard of it, and probes of a silent one."""

from __future__ import annotations

from testbed.stack.deadlines import NEVER
from testbed.stack.tcp.config import TcpConfig


class KeepAlive:
    """Keep-alive (RFC 9293, section 3.8.4).

    :ivar at: when to look whether a probe is due.
    :ivar probes: unanswered ones, those of a closed window too.
    :ivar heard_ns: when an acceptable segment last came.
    """

    __slots__ = ("_asked", "_config", "at", "heard_ns", "probes")

    def __init__(self, config: TcpConfig) -> None:
        self._config = config
        self.at = NEVER
        self.probes = 0
        self.heard_ns = 0
        self._asked = False

    def ask(self) -> None:
        """Have a probe leave now, whatever the timer says."""
        self._asked = True

    def take_asked(self) -> bool:
        """Tell whether a probe has been asked for, which leaves now."""
        asked, self._asked = self._asked, False
        return asked

    def start(self, now: int) -> None:
        """Begin to watch: the connection is established."""
        if self._config.keepalive:
            self.at = now + self._config.keepalive_idle_ns

    def configure(self, config: TcpConfig, *, established: bool) -> None:
        """Go by another configuration; what was heard last counts."""
        self._config = config
        watched = established and config.keepalive
        self.at = self.heard_ns + config.keepalive_idle_ns if watched else NEVER

    def stop(self) -> None:
        """Watch no more."""
        self.at = NEVER

    def begin(self, now: int) -> None:
        """Note when the connection began."""
        self.heard_ns = now

    def heard(self, now: int) -> None:
        """Note a sign of life."""
        self.heard_ns = now
        self.probes = 0

    def probed(self) -> None:
        """Count a probe that no sign of life has followed yet."""
        self.probes += 1

    def gives_up(self, now: int) -> bool:
        """Tell whether enough probes have remained without an answer, or for long enough."""
        limit = self._config.user_timeout_ns
        if limit:
            return self.probes > 0 and now - self.heard_ns >= limit
        return self.probes >= self._config.keepalive_probes

    def due(self, now: int, *, busy: bool) -> bool:
        """Tell whether a probe is due now, and set the timer for the next.

        :param busy: something is outstanding: other timers find a dead peer.
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
