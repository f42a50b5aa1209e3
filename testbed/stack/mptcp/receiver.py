"""The receipt of data from subflows (RFC 8684, sections 3.3.1 and 3.3.4)."""

from __future__ import annotations

from collections.abc import Callable

from testbed.packet.mptcp import ResetReason
from testbed.stack.mptcp import checksum
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.mapping import Mapping
from testbed.stack.mptcp.plain import Plain
from testbed.stack.mptcp.streams import ReceiveStream
from testbed.stack.mptcp.subflow import Subflow


class Receiver:
    """Moves the octets that arrived in order on a subflow to their mapped positions.

    :param limit: how many octets without a mapping a subflow may hold.
    :param count: increments the MPTcpExt counter that has a name.
    """

    __slots__ = ("_count", "_keys", "_limit", "_stream")

    def __init__(
        self, stream: ReceiveStream, keys: Keys, limit: int, count: Callable[[str], None]
    ) -> None:
        self._count = count
        self._stream = stream
        self._keys = keys
        self._limit = limit

    def move(self, subflow: Subflow, plain: Plain) -> None:
        """Move the octets that have arrived on a subflow into the data stream.

        :param plain: knows whether the sent data allows a fallback.
        """
        tcp, inbound = subflow.tcp, subflow.inbound
        buffer = tcp.receiver.buffer
        if inbound.unproven is not None:
            inbound.arrived(buffer.readable)
        while buffer.readable and not subflow.fallback and inbound.damaged is None:
            position = inbound.position
            mapping = inbound.mappings.at(position)
            if mapping is not None and mapping.checksum is not None:
                if not self._take_checked(subflow, mapping):
                    break
            elif mapping is not None:
                data = tcp.take(mapping.subflow_end - position)
                self._insert(mapping.data_at(position), data)
                inbound.read(len(data))
            elif not self._skip_unmapped(subflow, plain):
                break
        if subflow.fallback:
            self._move_plain(subflow)

    def _take_checked(self, subflow: Subflow, mapping: Mapping) -> bool:
        """Move all octets of a mapping with a checksum, after all have arrived (section 3.3.1).

        If the checksum is wrong, a middlebox has changed the data. Then none of it is delivered,
        and ``fail.py`` decides on the subflow. Return whether there may be more to move.
        """
        readable = subflow.tcp.readable
        if readable < mapping.length:
            if readable >= self._limit or subflow.phase.ended:
                self._count("DSSCorruptionReset")
                subflow.reset(ResetReason.MPTCP)  # the missing data can no longer come
            return False
        data = subflow.tcp.read(mapping.length)
        if not checksum.covers(mapping, data, self._keys.incoming):
            subflow.inbound.damage(mapping, data)
            return False
        self._insert(mapping.data, data)
        subflow.inbound.read(len(data))
        if mapping.data_fin:
            self._stream.finish(mapping.data + mapping.length)
        return True

    def _skip_unmapped(self, subflow: Subflow, plain: Plain) -> bool:
        """Handle octets that have no mapping; return whether there is more to move.

        If their segment had no MPTCP option, a middlebox removes options. Then the subflow falls
        back (section 3.7), which as in Linux is possible while its octets are the data stream.
        Otherwise the mapping may still arrive, unless later data is mapped already: then these
        octets are dropped. They have no Data ACK, so the peer sends them again. A whole window of
        such octets shows that the subflow is broken (section 3.3.1). So do the first octets without
        an option: until the first Data ACK the peer must send DSS on each segment (section 3.7).
        """
        inbound = subflow.inbound
        position = inbound.position
        if inbound.bare and position == self._stream.next and plain.possible(subflow):
            self._count("DssFallback")
            subflow.fall_back_unheard()
            return False
        readable = subflow.tcp.readable
        start = inbound.mappings.start_after(position)
        if start is None or start > position + readable:
            stripped = inbound.bare and not position
            if stripped or readable >= self._limit or subflow.phase.ended:
                self._count("FallbackFailed" if inbound.bare else "DSSCorruptionReset")
                subflow.reset(ResetReason.MIDDLEBOX)
            return False
        subflow.tcp.read(start - position)
        inbound.read(start - position, dropped=True)
        return True

    def _insert(self, position: int, data: bytes) -> None:
        """Insert octets into the data stream."""
        stream = self._stream
        if position > stream.next:
            self._count("OFOQueue")
            if stream.has_gaps and position >= stream.latest:
                self._count("OFOQueueTail")
        elif position + len(data) <= stream.next:
            self._count("DuplicateData")
        stream.insert(position, data)

    def _move_plain(self, subflow: Subflow) -> None:
        """Move as many octets as the stream has room for.

        After a fallback only TCP's window counts.
        """
        tcp, inbound, stream = subflow.tcp, subflow.inbound, self._stream
        room = max(0, stream.edge - stream.next)
        data = inbound.release(room)
        data += tcp.read(min(tcp.readable, room - len(data)))
        stream.insert(stream.next, data)
        inbound.read(len(data))
        # A peer that has not begun with plain TCP may end by DATA_FIN.  If that is just here in
        # both streams, nothing was inserted or taken out on the way.
        if (tcp.at_eof or inbound.ends_at(stream.next)) and not inbound.holds:
            stream.finish(stream.next)
