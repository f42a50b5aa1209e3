"""How the subflows of a connection that is over end."""

from __future__ import annotations

from collections.abc import Callable

from testbed.packet.mptcp import ResetReason
from testbed.stack.connection import ConnectionFailure
from testbed.stack.mptcp.fastclose import FastClose
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.state import Step
from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.mptcp.subflows import Subflows


class Ending:
    """With FIN after DATA_FIN is acknowledged, with RST or MP_FASTCLOSE when it was given up."""

    __slots__ = ("_aborting", "_count", "_fast_close", "_told")

    def __init__(self, keys: Keys, subflows: Subflows, count: Callable[[str], None]) -> None:
        self._aborting = False  # each RST carries MP_FASTCLOSE
        self._count = count
        self._fast_close = FastClose(keys, subflows.there, count)
        self._told = False

    def abort(self, *, by_ack: bool = False) -> Step:
        """End it at once (section 3.5); return what that is to the state of the connection.

        :param by_ack: by MP_FASTCLOSE on an ACK, if there is a subflow for that.
        """
        by_ack = by_ack and self._fast_close.begin()
        self._aborting = not by_ack
        return Step.FASTCLOSE if by_ack else Step.ABORT

    def aborts(self, subflow: Subflow) -> bool:
        """Tell whether the RST of a subflow carries MP_FASTCLOSE.

        So does that of a subflow which ends before the answer to MP_FASTCLOSE has come there.
        """
        return self._aborting or self._fast_close.unanswered(subflow)

    def begins(self) -> bool:
        """Tell, once, that it is over."""
        first, self._told = not self._told, True
        return first

    @property
    def retry_ns(self) -> int | None:
        """When :meth:`handle_timer` has something to do."""
        return self._fast_close.retry_ns

    def handle_timer(self, now: int) -> None:
        """Send MP_FASTCLOSE again, or give it up and reset the subflow."""
        self._aborting |= self._fast_close.gives_up(now)

    def step(self, now: int) -> None:
        """Send MP_FASTCLOSE when it is due."""
        self._fast_close.step(now)

    def end(self, subflow: Subflow, failure: ConnectionFailure | None) -> None:
        """End a subflow, unless it waits for the answer to MP_FASTCLOSE.

        :param failure: that of the connection; ``None``: it has ended in order.
        """
        if self._fast_close.keeps(subflow):
            return
        if subflow.refused is not None:
            subflow.reset(ResetReason.MPTCP)
        elif failure is not None:
            if not subflow.tcp.closed:  # its RST may say more already
                if self.aborts(subflow) and subflow.accepted:
                    self._count("MPFastcloseTx")
                subflow.reset(ResetReason.UNSPECIFIED)
        elif subflow.fallback:
            subflow.tcp.close()
        else:
            subflow.tcp.finish()
            subflow.tcp.read(subflow.tcp.readable)  # no data follows the end of both streams
