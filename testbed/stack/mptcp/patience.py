"""How long a connection waits for its peer: the user timeout, not of a subflow but of all.

RFC 9293, section 3.9.1.1, and RFC 5482 say it of TCP; here what counts is the Data ACK, so that a
path that is down does not end while another one works.  Linux (6.18) has no TCP_USER_TIMEOUT for
MPTCP.
"""

from __future__ import annotations

from collections.abc import Sequence

from testbed.stack.deadlines import NEVER
from testbed.stack.mptcp.datafin import DataFin
from testbed.stack.mptcp.sender import Sender
from testbed.stack.mptcp.streams import SendStream
from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.user_timeout import UserTimeout


class Patience:
    """Of one connection.

    :param config: of its subflows, whose user timeout and keep-alive are the connection's.
    """

    __slots__ = ("_config", "_heard_ns", "_look_ns", "_outgoing", "_subflows", "_timeout")

    def __init__(
        self, config: TcpConfig, outgoing: SendStream, subflows: Sequence[Subflow]
    ) -> None:
        self._config = config
        self._outgoing = outgoing
        self._subflows = subflows
        self._timeout = UserTimeout(config.user_timeout_ns)
        self._heard_ns = 0  # when a subflow last heard of the peer, those that have ended too
        self._look_ns = NEVER  # when to look whether keep-alives remain without an answer

    def go_by(self, config: TcpConfig) -> None:
        """Take another configuration."""
        self._config = config
        self._timeout.limit(config.user_timeout_ns)
        self._look_ns = NEVER

    @property
    def due_ns(self) -> int | None:
        """When :meth:`gives_up` has something to decide."""
        due = min(self._timeout.at, self._look_ns)
        return None if due == NEVER else due

    def watch(self, now: int, *, opening: bool) -> None:
        """Look at the connection after anything may have happened to it.

        :param opening: the handshake of the first subflow is not done.
        """
        config, outgoing = self._config, self._outgoing
        if not config.user_timeout_ns:
            return
        unfinished = outgoing.closed and not outgoing.fin_acked
        self._timeout.watch(
            now,
            waiting=opening or unfinished or outgoing.una < outgoing.end,
            una=-1 if opening else outgoing.una,
            sent=outgoing.next > outgoing.una or outgoing.fin_sent,
        )
        self._look_ns = NEVER
        if config.keepalive and not opening:
            heard = [one.tcp.heard_ns for one in self._subflows if one.usable]
            self._heard_ns = max([self._heard_ns, *heard])
            silent_at = self._heard_ns + config.user_timeout_ns
            later = now + config.keepalive_interval_ns
            self._look_ns = silent_at if silent_at > now else later

    def is_unheard(self, fin: DataFin, sender: Sender, *, detached: bool) -> bool:
        """Tell whether data or DATA_FIN was sent in vain too often.

        A closed window may stay closed for ever, as long as data waits for it to open.

        :param detached: the application has gone.
        """
        limit = self._config.orphan_retries if detached else self._config.retries
        patient = not detached and sender.blocked
        return fin.tries > limit or (sender.tries > limit and not patient)

    def gives_up(self, now: int) -> str | None:
        """Return why the peer is waited for no longer; ``None``: it is."""
        if self._timeout.at <= now:
            return "the user timeout has expired"
        if self._look_ns <= now:
            usable = [one.tcp for one in self._subflows if one.usable]
            heard = max([self._heard_ns, *(one.heard_ns for one in usable)])
            silent = now - heard >= self._config.user_timeout_ns
            if silent and all(one.probing for one in usable):
                return "no answer to keep-alive probes within the user timeout"
        return None


class CloseTimeout:
    """How long a connection lives on without a subflow, or without its application.

    :param after_ns: that long.
    :ivar due_ns: when it ends, as nothing else will end it.
    """

    __slots__ = ("_after_ns", "due_ns")

    def __init__(self, after_ns: int) -> None:
        self._after_ns = after_ns
        self.due_ns: int | None = None

    def watch(self, now: int, *, needed: bool) -> None:
        """Let it run where it is needed, and else not."""
        if not needed:
            self.due_ns = None
        elif self.due_ns is None:
            self.due_ns = now + self._after_ns

    def expired(self, now: int) -> bool:
        """Tell whether the time is over."""
        return self.due_ns is not None and self.due_ns <= now
