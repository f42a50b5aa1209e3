"""The middleboxes of a wire: frames are parsed to segments, pass them, and are encoded again."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final

from testbed.errors import PacketError
from testbed.middlebox.base import Middlebox
from testbed.middlebox.box import Work
from testbed.middlebox.chain import Chain, Leaving
from testbed.middlebox.kinds import boxes
from testbed.packet import codec
from testbed.packet.segment import Segment
from testbed.wire.emulator.messages import Add
from testbed.wire.emulator.pool import VNET_HEADER, Pool
from testbed.wire.model import LinkModel
from testbed.wire.netem import ETHERNET_HEADER

Enter = Callable[[int, int, int], None]  # a frame's handle, its octets, when it came

_IP: Final = VNET_HEADER + ETHERNET_HEADER  # the offset of the IP packet
_KIND: Final = slice(_IP - 2, _IP)  # the EtherType
_KINDS: Final = frozenset({b"\x08\x00", b"\x86\xdd"})  # IPv4, IPv6
_MAC: Final = 6  # octets of a MAC address
_CHECKED: Final = 3  # VIRTIO_NET_HDR_F_NEEDS_CSUM, _DATA_VALID: no checksum to look at


class Passage:
    """Passes the frames of a wire through middleboxes, before the models of its two directions.

    Only complete TCP segments with correct checksums, in IPv4 or IPv6 without extension headers,
    pass the middleboxes. All other frames, including fragments and ICMP, pass unchanged, as do
    frames that no middlebox changes.

    :param row: the middleboxes, the first one nearest to ``a``.
    :param kinds: their names.
    :param models: the models of both directions, by the end that they lead to.
    :ivar lost: the number of frames lost for lack of memory, by their destination.
    """

    def __init__(
        self,
        row: Sequence[Middlebox],
        kinds: Sequence[str],
        pool: Pool,
        models: Mapping[str, LinkModel[int]],
    ) -> None:
        self.lost = {"a": 0, "b": 0}
        self._chain: Chain[bytes] = Chain(row, _turned)
        self._kinds = tuple(kinds)
        self._pool = pool
        self._models = models
        self._now_ns = 0  # boxes see both directions, and no time that goes back

    def entry(self, toward: str) -> Enter:
        """Return the function that processes the frames of one direction."""
        if not self._chain.looks(toward):
            return self._models[toward].enqueue
        return functools.partial(self._enter, toward)

    def next_ns(self) -> int | None:
        """Return the time of the next spontaneous action of a middlebox."""
        return self._chain.next_timer()

    def advance(self, until_ns: int) -> None:
        """Perform the spontaneous actions of middleboxes until a time, each at its own time."""
        while (due_ns := self._chain.next_timer()) is not None and due_ns <= until_ns:
            self._now_ns = max(self._now_ns, due_ns)
            for leaving in self._chain.handle_timer(self._now_ns):
                self._make(leaving)

    def work(self) -> tuple[Work, ...]:
        """Return the counters of each middlebox."""
        return self._chain.work(self._kinds)

    def _enter(self, toward: str, handle: int, size: int, arrival_ns: int) -> None:
        self.advance(arrival_ns)
        self._now_ns = now_ns = max(self._now_ns, arrival_ns)
        frame = self._pool.frame(handle)
        segment = _parsed(frame)
        if segment is None:
            self._models[toward].enqueue(handle, size, now_ns)
            return
        carrier = bytes(frame[VNET_HEADER:_IP])
        passes = False
        for leaving in self._chain.enter(toward, segment, carrier, now_ns):
            if leaving.segment is segment and not passes:
                passes = True
                self._models[toward].enqueue(handle, size, now_ns)
            else:
                self._make(leaving)
        if not passes:
            self._pool.drop(handle)

    def _make(self, leaving: Leaving[bytes]) -> None:
        """Pass a segment to the model that is not in the received frame."""
        frame = leaving.carrier + codec.emit(leaving.segment)
        handle = self._pool.put(frame)
        if handle is None:
            self.lost[leaving.toward] += 1
            return
        self._models[leaving.toward].enqueue(handle, len(frame), self._now_ns)


def made(wire: Add, pool: Pool, models: Mapping[str, LinkModel[int]]) -> Passage:
    """Return the passage of a wire.

    :raises InputError: a middlebox does not exist, or its options are invalid.
    """
    row = boxes(wire.middlebox, wire.nodes, wire.mtu, f"{wire.seed}", Random)
    return Passage(row, [box.kind for box in wire.middlebox], pool, models)


def _parsed(frame: memoryview) -> Segment | None:
    """Return the segment of a frame with virtio header; ``None`` if it bypasses middleboxes."""
    if bytes(frame[_KIND]) not in _KINDS:
        return None
    flags, _, _, gso_size = struct.unpack_from("=BBHH", frame)
    try:
        return codec.parse(frame[_IP:], verify=not flags & _CHECKED, gso_size=gso_size)
    except PacketError:
        return None


def _turned(header: bytes) -> bytes:
    """Return the Ethernet header of an answer."""
    return header[_MAC : 2 * _MAC] + header[:_MAC] + header[2 * _MAC :]
