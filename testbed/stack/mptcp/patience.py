"""The time-outs of a connection: the user timeout over all subflows, and the close time-out.

RFC 9293, section 3.9.1.1, and RFC 5482 define the user timeout of TCP. Here it applies to Data
ACKs, so a path that is down is not an error while another one works. Linux (6.18) has no
TCP_USER_TIMEOUT for MPTCP.
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
    """The user timeout and the keep-alive of one connection.

    :param config: the configuration of its subflows, which has the values of both.
    """

    __slots__ = ("_config", "_heard_ns", "_look_ns", "_outgoing", "_subflows", "_timeout")

    def __init__(
        self, config: TcpConfig, outgoing: SendStream, subflows: Sequence[Subflow]
    ) -> None:
        self._config = config
        self._outgoing = outgoing
        self._subflows = subflows
        self._timeout: UserTimeout | None = None
        self._heard_ns = 0  # when a subflow, ended or not, last received from the peer
        self._look_ns = NEVER  # when to check whether keep-alives have no answer
        self.go_by(config)

    def go_by(self, config: TcpConfig) -> None:
        """Apply another configuration."""
        self._config = config
        if self._timeout is not None:
            self._timeout.limit(config.user_timeout_ns)
        elif config.user_timeout_ns:
            self._timeout = UserTimeout(config.user_timeout_ns)
        self._look_ns = NEVER

    @property
    def due_ns(self) -> int | None:
        """The time at which :meth:`gives_up` must decide."""
        timeout = self._timeout
        due = self._look_ns if timeout is None else min(timeout.at, self._look_ns)
        return None if due == NEVER else due

    def watch(self, now: int, *, opening: bool) -> None:
        """Update the deadline after a change of the connection.

        :param opening: whether the handshake of the first subflow is incomplete.
        """
        config, outgoing, timeout = self._config, self._outgoing, self._timeout
        if timeout is None or not config.user_timeout_ns:
            return
        unfinished = outgoing.closed and not outgoing.fin_acked
        timeout.watch(
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
        """Return whether data or DATA_FIN was retransmitted too often without an answer.

        A closed window is no error, however long it lasts.

        :param detached: whether the application has closed the connection.
        """
        limit = self._config.orphan_retries if detached else self._config.retries
        patient = not detached and sender.blocked
        return fin.tries > limit or (sender.tries > limit and not patient)

    def gives_up(self, now: int) -> str | None:
        """Return the reason to stop waiting for the peer, or ``None``."""
        if self._timeout is not None and self._timeout.at <= now:
            return "the user timeout has expired"
        if self._look_ns <= now:
            usable = [one.tcp for one in self._subflows if one.usable]
            heard = max([self._heard_ns, *(one.heard_ns for one in usable)])
            silent = now - heard >= self._config.user_timeout_ns
            if silent and all(one.probing for one in usable):
                return "no answer to keep-alive probes within the user timeout"
        return None


class CloseTimeout:
    """Limits the life of a connection without subflows or without its application.

    :param after_ns: the limit in nanoseconds.
    :ivar due_ns: the time at which the connection ends.
    """

    __slots__ = ("_after_ns", "due_ns")

    def __init__(self, after_ns: int) -> None:
        self._after_ns = after_ns
        self.due_ns: int | None = None

    def watch(self, now: int, *, needed: bool) -> None:
        """Start or stop the timer as needed."""
        if not needed:
            self.due_ns = None
        elif self.due_ns is None:
            self.due_ns = now + self._after_ns

    def expired(self, now: int) -> bool:
        """Return whether the limit is reached."""
        return self.due_ns is not None and self.due_ns <= now
