"""Generic receive offload: packets of one flow that follow one another become one segment.

It is what the kernel's GRO does (net/core/gro.c, net/ipv4/tcp_offload.c), and the opposite of
:func:`testbed.stack.packet.codec.split`: cutting what was merged gives the same segments again.  So
a merged segment holds all that its parts held, and a connection handles far fewer segments.

As there, headers are compared as octets.  Only the first packet of a run is parsed, and payload is
copied once, out of the memory that packets are received into.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

import msgspec

from testbed.errors import PacketError
from testbed.host.frames import Received
from testbed.stack.packet.checksum import total
from testbed.stack.packet.codec import TCP, parse
from testbed.stack.packet.segment import ACK, CWR, ECE, FIN, PSH, Segment

MOST: Final = 65_000  # octets of payload: with headers it is still a packet
_ENDING: Final = FIN | PSH  # on the last piece only
_MERGEABLE: Final = _ENDING | ACK | ECE | CWR

# The headers of IP and TCP up to TCP's options, without what differs from packet to packet: IPv4's
# identification, and the checksums.
_IPV4: Final = struct.Struct("!BBHxxHBBxx12sIIBBHxxH")
_IPV6: Final = struct.Struct("!4sHBB36sIIBBHxxH")
_IPV4_HEADER, _IPV6_HEADER = 20, 40
_NO_OPTIONS: Final = 0x45  # the first octet of IPv4 without options
_FRAGMENT: Final = 0x3FFF
_PORTS: Final = 4  # octets of both, which follow the addresses


class _Header(NamedTuple):
    """What decides whether a packet goes on where another one ends.

    :param flow: addresses and ports.
    :param body: where its payload starts, and where it ends.
    :param common: all else that packets of one run have in common.
    """

    flow: bytes
    seq: int
    flags: int
    body: tuple[int, int]
    common: tuple[object, ...]


class Merger:
    """Makes segments of the packets of one batch; the order within each flow stays."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []
        self._last: dict[bytes, _Run] = {}  # of each flow

    def take(self, received: Received) -> None:
        """Add a packet.

        :raises PacketError: it is not a whole, correct TCP segment.
        """
        packet, verified, gso_size = received
        header = _header(packet)
        run = None if header is None else self._last.get(header.flow)
        if header is not None and run is not None and not gso_size and run.goes_on(header):
            _check(packet, header, verified=verified)
            start, end = header.body
            run.add(packet[start:end], header.flags)
            return
        run = _Run(parse(packet, verify=not verified, gso_size=gso_size), header)
        self._runs.append(run)
        if header is None:
            self._last.clear()  # it may be of any flow, and nothing may pass it
        else:
            self._last[header.flow] = run

    def segments(self) -> list[Segment]:
        """Return the segments, and begin with the next batch."""
        runs, self._runs = self._runs, []
        self._last.clear()
        return [run.merged() for run in runs]


class _Run:
    """Packets that are going to be one segment.

    :param first: the segment of the first one.
    """

    __slots__ = ("_common", "_first", "_flags", "_next_seq", "_octets", "_open", "_pieces", "_size")

    def __init__(self, first: Segment, header: _Header | None) -> None:
        flags, size = first.flags, len(first.payload)
        self._first = first
        self._common = header and header.common
        self._size = self._octets = size
        self._pieces: list[bytes | memoryview] = [first.payload]
        self._flags = flags
        self._next_seq = (first.seq + size) & 0xFFFF_FFFF
        self._open = bool(size and header) and not (
            flags & _ENDING or flags & ~_MERGEABLE or first.gso_size
        )

    def goes_on(self, header: _Header) -> bool:
        """Tell whether a packet begins where the run ends, and differs in nothing else."""
        start, end = header.body
        return (
            self._open
            and header.seq == self._next_seq
            and 0 < end - start <= self._size
            and self._octets + end - start <= MOST
            and header.flags & ~_ENDING == self._first.flags & ~CWR
            and header.common == self._common
        )

    def add(self, payload: memoryview, flags: int) -> None:
        """Add the payload of a packet that goes on here."""
        size = len(payload)
        self._pieces.append(payload)
        self._octets += size
        self._flags |= flags
        self._next_seq = (self._next_seq + size) & 0xFFFF_FFFF
        self._open = size == self._size and not flags & _ENDING

    def merged(self) -> Segment:
        """Return the run as one segment."""
        if len(self._pieces) == 1:
            return self._first
        return msgspec.structs.replace(
            self._first, payload=b"".join(self._pieces), gso_size=self._size, flags=self._flags
        )


def _header(packet: memoryview) -> _Header | None:
    """Return what is to be compared; ``None`` if the packet is damaged, no TCP, or unusual."""
    try:
        if packet[0] >> 4 == 6:
            kind, length, protocol, hops, flow, *tcp = _IPV6.unpack_from(packet)
            start, end = _IPV6_HEADER, _IPV6_HEADER + length
        else:
            first, kind, end, fragment, hops, protocol, flow, *tcp = _IPV4.unpack_from(packet)
            start = _IPV4_HEADER
            if first != _NO_OPTIONS or fragment & _FRAGMENT:
                return None
    except (struct.error, IndexError):
        return None
    seq, ack, offset, flags, window, urgent = tcp
    options, body = start + 20, start + (offset >> 4) * 4
    if protocol != TCP or not options <= body <= end <= len(packet):
        return None
    common = kind, hops, ack, offset, window, urgent, bytes(packet[options:body])
    return _Header(flow, seq, flags, (body, end), common)


def _check(packet: memoryview, header: _Header, *, verified: bool) -> None:
    """Raise PacketError if a checksum is wrong.

    :param verified: TCP's is not to be looked at.
    """
    start, end = _IPV6_HEADER, header.body[1]
    if packet[0] >> 4 == 4:
        start = _IPV4_HEADER
        if total(packet[:start]):
            raise PacketError("the IPv4 header checksum is wrong")
    if not verified:
        pseudo = total(header.flow[:-_PORTS]) + TCP + end - start
        if (pseudo + total(packet[start:end])) % 0xFFFF:
            raise PacketError("the TCP checksum is wrong")
