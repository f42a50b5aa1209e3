"""The fallback of a connection to plain TCP (RFC 8684, section 3.7).

A subflow falls back (:meth:`~testbed.stack.mptcp.subflow.Subflow.fall_back`) when options are
missing in the handshake (``capable.py``), on received data (``receiver.py``), or on acknowledgments
of our data (here). It may do so while it is the only subflow that ever was and its octets are the
data stream. Its connection then falls back as well.
"""

from __future__ import annotations

from collections.abc import Callable

from testbed.packet.mptcp import ResetReason
from testbed.stack.mptcp.streams import ReceiveStream, SendStream
from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.mptcp.subflows import Subflows


class Plain:
    """The fallback of one connection.

    :param count: increments the MPTcpExt counter that has a name.
    :ivar begun: whether the connection has fallen back.
    """

    __slots__ = ("_count", "_incoming", "_outgoing", "_subflows", "begun")

    def __init__(
        self,
        outgoing: SendStream,
        incoming: ReceiveStream,
        subflows: Subflows,
        count: Callable[[str], None],
    ) -> None:
        self.begun = False
        self._outgoing = outgoing
        self._incoming = incoming
        self._subflows = subflows
        self._count = count

    def possible(self, subflow: Subflow) -> bool:
        """Return whether the sent data allows a subflow to fall back."""
        return self._subflows.alone and subflow.carried.given == self._outgoing.next

    def without_data_acks(self, subflow: Subflow) -> None:
        """Fall back if the peer's Data ACKs do not arrive, or reset the subflow."""
        if self.possible(subflow) and subflow.inbound.position == self._incoming.next:
            subflow.fall_back_unheard()
            self._count("DssFallback")
        else:
            subflow.reset(ResetReason.MIDDLEBOX)
            self._count("FallbackFailed")

    def drop_others(self, subflow: Subflow) -> None:
        """Give up pending joins: after a fallback there is one subflow."""
        for other in self._subflows.there:
            if other is not subflow and not other.tcp.closed:
                other.reset(ResetReason.MIDDLEBOX)

    def follow(self) -> None:
        """Go on as plain TCP: a subflow does."""
        self.begun = True

    def follow_tcp(self) -> None:
        """Use TCP's window, its FIN as DATA_FIN, and the ACK of the FIN as the Data ACK."""
        self._outgoing.leave_window_to_tcp()
        for subflow in self._subflows.there:
            if subflow.phase.fin_acked:
                self._outgoing.end_acked()

    def finish(self) -> None:
        """Send FIN after TCP got all data."""
        if self._outgoing.closed and self._outgoing.next == self._outgoing.end:
            for subflow in self._subflows.there:
                subflow.tcp.shutdown()
