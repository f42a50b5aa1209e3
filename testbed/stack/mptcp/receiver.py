"""Taking data from subflows (RFC 8684, sections 3.3.1 and 3.3.4), the counterpart of ``sender``."""

from __future__ import annotations

from testbed.stack.mptcp import checksum
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.mapping import Mapping
from testbed.stack.mptcp.streams import ReceiveStream
from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.packet.mptcp import ResetReason


class Receiver:
    """Puts what arrived in order on each subflow where its mapping says.

    :param limit: octets without a mapping that a subflow may hold.
    """

    def __init__(self, stream: ReceiveStream, keys: Keys, limit: int) -> None:
        self._stream = stream
        self._keys = keys
        self._limit = limit

    def move(self, subflow: Subflow, *, plain: bool) -> None:
        """Move what has arrived on a subflow into the stream.

        :param plain: it may fall back, as far as what was sent is concerned.
        """
        tcp = subflow.tcp
        while tcp.readable and not subflow.fallback and subflow.damaged is None:
            mapping = subflow.mappings.at(subflow.position)
            if mapping is not None and mapping.checksum is not None:
                if not self._take_checked(subflow, mapping):
                    break
            elif mapping is not None:
                data = tcp.read(min(tcp.readable, mapping.subflow_end - subflow.position))
                self._stream.insert(mapping.data + subflow.position - mapping.subflow, data)
                subflow.position += len(data)
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
            if readable >= self._limit or subflow.ended:
                subflow.reset(ResetReason.MPTCP)  # the rest can never come
            return False
        data = subflow.tcp.read(mapping.length)
        if not checksum.covers(mapping, data, self._keys.incoming):
            subflow.damaged, subflow.held = mapping, data
            return False
        self._stream.insert(mapping.data, data)
        subflow.position += len(data)
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
        if plain and subflow.bare and subflow.position == self._stream.next:
            subflow.fall_back()
            return False
        readable = subflow.tcp.readable
        start = subflow.mappings.start_after(subflow.position)
        if start is None or start > subflow.position + readable:
            stripped = subflow.bare and not subflow.position
            if stripped or readable >= self._limit or subflow.ended:
                subflow.reset(ResetReason.MIDDLEBOX)
            return False
        subflow.tcp.read(start - subflow.position)
        subflow.position = start
        return True

    def _move_plain(self, subflow: Subflow) -> None:
        """Move what there is room for: after a fallback TCP's window is the only one."""
        tcp, stream = subflow.tcp, self._stream
        room = max(0, stream.edge - stream.next)
        data, subflow.held = subflow.held[:room], subflow.held[room:]
        data += tcp.read(min(tcp.readable, room - len(data)))
        stream.insert(stream.next, data)
        if tcp.at_eof and not subflow.held:
            stream.finish(stream.next)
