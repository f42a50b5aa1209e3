"""The flows of a supervisor's connections, in memory that its heir shares."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from testbed.packet.address import Address, Flow, address_of, pack
from testbed.packet.segment import RST, Segment
from testbed.stack.connection import Endpoint
from testbed.stack.mptcp.endpoint import MptcpEndpoint

ROOM: Final = 16384  # flows
# Kind of record, octets of an address, both ports, the key, both addresses.
_SLOT: Final = struct.Struct("=BBHHQ16s16s")
_NOTHING, _FLOW, _KEYED = 0, 1, 2  # the first octet of a slot, which is written last
_FIRST: Final = 1  # octet


class Peer(msgspec.Struct, frozen=True):
    """A flow and the key of its peer.

    :param key: the peer's key, with which MP_FASTCLOSE ends the connection; ``None`` if unknown.
    """

    flow: Flow
    key: int | None = None


class Flows:
    """The table of flows of a stack, in memory that later forked processes share.

    The table holds 16384 flows. Others are left out. The first octet of a slot marks a valid flow.
    It is written after the other octets and cleared before them, so a killed writer leaves only
    complete flows.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, ROOM * _SLOT.size)
        self._slots: dict[Flow, int] = {}
        self._free = list(range(ROOM - 1, -1, -1))

    def __iter__(self) -> Iterator[Flow]:
        return iter(tuple(self._slots))

    def note(self, flow: Flow, key: int | None) -> None:
        """Record a flow, or the key of a recorded flow."""
        if flow in self._slots:
            if key is None:
                return
        elif self._free:
            self._slots[flow] = self._free.pop()
        else:
            return
        (local, near), (remote, far) = flow
        octets = pack(local)
        kind = _FLOW if key is None else _KEYED
        slot = _SLOT.pack(kind, len(octets), near, far, key or 0, octets, pack(remote))
        at = self._slots[flow] * _SLOT.size
        self._memory[at + _FIRST : at + _SLOT.size] = slot[_FIRST:]
        self._memory[at] = kind

    def forget(self, flow: Flow) -> None:
        """Erase a flow, if it is recorded."""
        slot = self._slots.pop(flow, None)
        if slot is not None:
            at = slot * _SLOT.size
            self._memory[at] = _NOTHING
            self._memory[at + _FIRST : at + _SLOT.size] = bytes(_SLOT.size - _FIRST)
            self._free.append(slot)

    def clear(self) -> None:
        """Forget all flows."""
        for flow in self:
            self.forget(flow)

    def read(self) -> list[Peer]:
        """Return the flows that another process has recorded."""
        slots = map(_SLOT.unpack, _pieces(bytes(self._memory)))
        return [_peer(*slot) for slot in slots if slot[0] != _NOTHING]


def _pieces(octets: bytes) -> Iterator[bytes]:
    return (octets[at : at + _SLOT.size] for at in range(0, len(octets), _SLOT.size))


def _peer(kind: int, size: int, near: int, far: int, key: int, local: bytes, remote: bytes) -> Peer:
    flow = Flow(address_of(local[:size], near), address_of(remote[:size], far))
    return Peer(flow, key if kind == _KEYED else None)


class Noting:
    """Records the flows of an endpoint before their first segment is sent."""

    def __init__(self, endpoint: Endpoint, table: Flows) -> None:
        self._endpoint = endpoint
        self._table = table
        self._whole: set[tuple[Address, Address]] = set()  # complete entries

    def sending(self, segments: Sequence[Segment]) -> None:
        """Record the flows of segments that are about to be sent."""
        whole = self._whole
        for segment in segments:
            if (segment.source, segment.destination) not in whole and not segment.flags & RST:
                self._note(Flow(segment.source, segment.destination))

    def look(self) -> None:
        """Erase flows that have ended, and record those without a sent segment."""
        there = set(self._endpoint.flows)
        for flow in self._table:
            if flow not in there:
                self._table.forget(flow)
        self._whole &= there
        for flow in there - self._whole:
            self._note(flow)

    def _note(self, flow: Flow) -> None:
        endpoint, key = self._endpoint, None
        if isinstance(endpoint, MptcpEndpoint):
            key = endpoint.peer_key(flow)
            if key is not None:
                self._whole.add(flow)
        else:
            self._whole.add(flow)
        self._table.note(flow, key)
