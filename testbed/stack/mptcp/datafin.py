"""Sending DATA_FIN until it is acknowledged (RFC 8684, section 3.3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from testbed.stack.mptcp.streams import SendStream
from testbed.stack.mptcp.subflow import Subflow

_RETRY_NS: Final = 200_000_000
_MAX_RETRY_NS: Final = 60_000_000_000


class DataFin:
    """Our DATA_FIN.  It rides on ACKs, which nobody acknowledges, so it has its own timer.

    :ivar due: all data has been given to subflows: it goes on each ACK without data.
    :ivar retry_ns: when it is sent again.
    :ivar tries: how often it was sent on purpose, without a Data ACK.
    """

    def __init__(self, stream: SendStream, subflows: Sequence[Subflow]) -> None:
        self.due = False
        self.retry_ns: int | None = None
        self.tries = 0
        self._stream = stream
        self._subflows = subflows

    def step(self, now: int) -> None:
        """Send it if it has become due, or is due again."""
        stream = self._stream
        given = stream.next == stream.end and not stream.again
        self.due = stream.closed and given and not stream.fin_acked
        if not self.due:
            self.retry_ns = None
        elif self.retry_ns is None:
            stream.fin_sent = True
            self.retry_ns = now + min(self._interval() << self.tries, _MAX_RETRY_NS)
            self.tries += 1
            for subflow in self._subflows:
                if subflow.usable:
                    subflow.fin_first = not subflow.confirmed
                    subflow.tcp.request_ack()

    def path_changed(self) -> None:
        """Send it again at once: the subflow it went on is gone, or there is a new one."""
        self.retry_ns = None

    def handle_timer(self, now: int) -> None:
        """Have it sent with the next step if its time has come."""
        if self.retry_ns is not None and self.retry_ns <= now:
            self.retry_ns = None

    def _interval(self) -> int:
        times = (one.tcp.rto_ns for one in self._subflows if one.usable)
        return max(_RETRY_NS, *times, 0)
