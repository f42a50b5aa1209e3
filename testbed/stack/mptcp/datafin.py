"""The retransmission of DATA_FIN until it is acknowledged (RFC 8684, section 3.3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from testbed.stack.mptcp.streams import SendStream
from testbed.stack.mptcp.subflow import Subflow

_RETRY_NS: Final = 200_000_000
_MAX_RETRY_NS: Final = 60_000_000_000


class DataFin:
    """Our DATA_FIN. It travels on ACKs, which TCP does not retransmit, so it has its own timer.

    :param wait_ns: the first interval of the timer. 0 computes it from the time-outs of subflows.
    :ivar due: whether all data was given to subflows. Then each ACK without data carries DATA_FIN.
    :ivar retry_ns: when DATA_FIN is retransmitted.
    :ivar tries: how many times the timer has expired.
    """

    __slots__ = ("_again", "_stream", "_subflows", "_wait_ns", "due", "retry_ns", "tries")

    def __init__(self, stream: SendStream, subflows: Sequence[Subflow], wait_ns: int) -> None:
        self._wait_ns = wait_ns
        self.due = False
        self.retry_ns: int | None = None
        self.tries = 0
        self._again = False
        self._stream = stream
        self._subflows = subflows

    def step(self, now: int) -> None:
        """Send DATA_FIN when it becomes due or must be retransmitted.

        The timer starts when all data before DATA_FIN is acknowledged: only then its Data ACK can
        arrive.
        """
        stream = self._stream
        self.due = stream.closed and not stream.unsent and not stream.fin_acked
        usable = [one for one in self._subflows if one.usable and one.accepted] if self.due else []
        if usable and (self._again or not stream.fin_sent):
            self._send(usable)
        if not usable or stream.una < stream.end:
            self.retry_ns = None
        elif self.retry_ns is None:
            interval = self._wait_ns or max(_RETRY_NS, *(one.tcp.rto_ns for one in usable))
            self.retry_ns = now + min(interval << max(0, self.tries - 1), _MAX_RETRY_NS)

    def send_again(self) -> None:
        """Send it with the next step: the subflow it went on is gone, or there is a new one."""
        self._again = True

    def handle_timer(self, now: int) -> None:
        """Retransmit DATA_FIN in the next step if the timer has expired."""
        if self.retry_ns is not None and self.retry_ns <= now:
            self.retry_ns = None
            self.tries += 1
            self._again = True

    def _send(self, usable: Sequence[Subflow]) -> None:
        self._again = False
        self._stream.send_fin()
        for subflow in usable:
            subflow.send_data_fin()
