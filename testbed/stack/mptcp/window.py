"""The receive window that all subflows share: its growth and its announcement.

RFC 8684, section 3.3.4. Each segment of each subflow carries the window anyway.
"""

from __future__ import annotations

from typing import Final

from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.streams import ReceiveStream
from testbed.stack.mptcp.subflows import Subflows
from testbed.stack.tcp.right_sizing import RightSizing, WindowMemory, begins

# A window that has opened by a fraction of the buffer is advertised (RFC 9293, 3.8.6.2.2).
_WORTH_TELLING: Final = 4


class SharedWindow:
    """The shared receive window of one connection.

    :param incoming: the data stream of the peer.
    :param memory: the memory of the endpoint by which windows may grow.
    """

    __slots__ = ("_incoming", "_limit", "_memory", "_sizing", "_subflows", "_told_edge")

    def __init__(
        self,
        config: MptcpConfig,
        incoming: ReceiveStream,
        subflows: Subflows,
        memory: WindowMemory,
    ) -> None:
        self._incoming = incoming
        self._memory = memory
        self._subflows = subflows
        self._sizing: RightSizing | None = None  # set when data is first read
        # The last edge that was advertised on purpose.  The first such ACK confirms the handshake
        # (section 3.1), so that the initiator can join before any data is sent.
        self._told_edge = 0 if config.data_acks.first else incoming.edge
        self.go_by(config)

    def go_by(self, config: MptcpConfig) -> None:
        """Apply another configuration."""
        self._limit = config.receive_buffer if config.receive_buffer_initial else 0

    @property
    def worth_telling(self) -> bool:
        """Whether reading has opened it so far that the peer must hear of it."""
        gain = self._incoming.edge - self._told_edge
        return gain > 0 and gain >= self._incoming.capacity // _WORTH_TELLING

    def step(self, now: int, *, waits: bool) -> None:
        """Let the window grow, and announce it if needed, after the handshake is complete.

        :param waits: whether the peer's key is unknown, so that no window can be announced.
        """
        if self._incoming.capacity < self._limit and self._subflows.there:
            self._size(now)
        if not waits and self.worth_telling:
            self._told_edge = self._incoming.edge
            self._subflows.request_acks(last=False)

    def release(self) -> None:
        """Release the memory of its growth, as no more data arrives."""
        if self._sizing is not None:
            self._sizing.release()

    def _size(self, now: int) -> None:
        """Let the window grow so that the slowest subflow can fill it.

        The rules are those of Linux (``mptcp_rcv_space_adjust``), except that out-of-order data,
        which waits for a slower subflow, counts as read: it arrived in this round trip and needs
        room.
        """
        incoming, sizing = self._incoming, self._sizing
        if sizing is None:
            come = incoming.taken + incoming.out_of_order
            if not begins(come, incoming.capacity):
                return
            sizing = RightSizing(incoming.capacity, self._limit, self._memory, come)
            self._sizing = sizing
        if now < sizing.due_ns:
            return
        subflows = self._subflows.there
        rtt = max(one.tcp.receive_rtt_ns or 0 for one in subflows)
        segment = max(one.segment_size for one in subflows)
        come = incoming.taken + incoming.out_of_order
        sizing.adjust(come, rtt or None, segment, now)
        incoming.grow(sizing.capacity)
