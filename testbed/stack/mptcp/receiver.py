"""Taking data from subflows (RFC 8684, sections 3.3.1 and 3.3.4), the counterpart of ``sender``."""

from __future__ import annotations

from collections.abc import Callable

from testbed.packet.mptcp import ResetReason
from testbed.stack.mptcp import checksum
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.mapping import Mapping
from testbed.stack.mptcp.streams import ReceiveStream
from testbed.stack.mptcp.subflow import Subflow


class Receiver:
    """Puts what arrived in order on each subflow where its mapping says.

    :param limit: octets without a mapping that a subflow may hold.
    :param count: counts an event; its name is one of MPTcpExt.
    """

    __slots__ = ("_count", "_keys", "_limit", "_stream")

    def __init__(
        self, stream: ReceiveStream, keys: Keys, limit: int, count: Callable[[str], None]
    ) -> None:
        self._count = count
        self._stream = stream
        self._keys = keys
        self._limit = limit

    def move(self, subflow: Subflow, *, plain: bool) -> None:
        """Move what has arrived on a subflow into the stream.

        :param plain: it may fall back, as far as what was sent is concerned.
        """
        tcp, inbound = subflow.tcp, subflow.inbound
        inbound.arrived(tcp.readable)
        while tcp.readable and not subflow.fallback and inbound.damaged is None:
            position = inbound.position
            mapping = inbound.mappings.at(position)
            if mapping is not None and mapping.checksum is not None:
                if not self._take_checked(subflow, mapping):
                    break
            elif mapping is not None:
                data = tcp.take(mapping.subflow_end - position)
                self._insert(mapping.data_at(position), data)
                inbound.read(len(data))
            elif not self._skip_unmapped(subflow, plain=plain):
                break
        if subflow.fallback:
            self._move_plain(subflow)

    def _take_checked(self, subflow: Subflow, mapping: Mapping) -> bool:
        """Move all octets of a mapping with a checksum, once all are there (section 3.3.1).

        Where it is wrong, something on the path has changed the data: none of it is taken, and
        what becomes of the subflow is for ``fail.py``.  Tell whether there may be more to move.
        """
        readable = subflow.tcp.readable
        if readable < mapping.length:
            if readable >= self._limit or subflow.phase.ended:
                self._count("DSSCorruptionReset")
                subflow.reset(ResetReason.MPTCP)  # the rest can never come
            return False
        data = subflow.tcp.read(mapping.length)
        if not checksum.covers(mapping, data, self._keys.incoming):
            subflow.inbound.damage(mapping, data)
            return False
        self._insert(mapping.data, data)
        subflow.inbound.read(len(data))
        return True

    def _skip_unmapped(self, subflow: Subflow, *, plain: bool) -> bool:
        """Deal with octets that have no mapping; tell whether there is more to move.

        If their segment had no option at all, a middlebox takes options away: fallback (section
        3.7), which as in Linux is possible while the subflow's octets are the stream.  Otherwise
        the mapping may still come, unless later data is mapped already: then these octets are
        dropped.  They were never acknowledged at the data level, so the peer sends them again, and
        they are not lost.  A whole window of them shows that the subflow is broken (section 3.3.1),
        and so do its very first octets without an option: until a Data ACK has come, the peer must
        put DSS on each segment (section 3.7).
        """
        inbound = subflow.inbound
        position = inbound.position
        if plain and inbound.bare and position == self._stream.next:
            self._count("DssFallback")
            subflow.fall_back()
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
        inbound.read(start - position)
        return True

    def _insert(self, position: int, data: bytes) -> None:
        """Put octets into the stream."""
        stream = self._stream
        if position > stream.next:
            self._count("OFOQueue")
            if stream.has_gaps and position >= stream.latest:
                self._count("OFOQueueTail")
        elif position + len(data) <= stream.next:
            self._count("DuplicateData")
        stream.insert(position, data)

    def _move_plain(self, subflow: Subflow) -> None:
        """Move what there is room for: after a fallback TCP's window is the only one."""
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
