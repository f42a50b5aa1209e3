"""Generic receive offload: consecutive packets of a flow become one segment.

It does what the kernel's GRO does (net/core/gro.c, net/ipv4/tcp_offload.c). It is the inverse of
:func:`testbed.packet.codec.split`: splitting a merged segment gives the original segments. So a
merged segment loses no information, and a connection handles far fewer segments.

As in the kernel, headers are compared as octets. Only the first packet of a run is parsed, and
payload is copied once, from the receive buffers.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from testbed.errors import PacketError
from testbed.host.devices.received import Received
from testbed.packet.address import pack
from testbed.packet.checksum import total
from testbed.packet.codec import TCP, parse
from testbed.packet.segment import ACK, CWR, ECE, FIN, PSH, Segment

MOST: Final = 65_000  # octets of payload; headers fit into the rest of a packet
_ENDING: Final = FIN | PSH  # flags of the last piece only
_MERGEABLE: Final = _ENDING | ACK | ECE | CWR

# The headers of IP and TCP up to TCP's options, without what differs from packet to packet: IPv4's
# identification, and the checksums.
_IPV4: Final = struct.Struct("!BBHxxHBBxx12sIIBBHxxH")
_IPV6: Final = struct.Struct("!4sHBB36sIIBBHxxH")
_IPV4_HEADER, _IPV6_HEADER = 20, 40
_NO_OPTIONS: Final = 0x45  # the first octet of IPv4 without options
_FRAGMENT: Final = 0x3FFF


# Values of a packet: addresses and ports; sequence number; flags; start and end of its payload; all
# else that packets of one run have in common.
_Header = tuple[bytes, int, int, int, int, tuple[object, ...]]


class Merger:
    """Merges the packets of one batch to segments. The order within each flow stays."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []
        self._last: dict[bytes, _Run] = {}  # the last run of each flow

    def take(self, received: Received) -> None:
        """Add a packet.

        :raises PacketError: it is no complete, correct TCP segment.
        """
        packet, verified, gso_size = received.packet, received.verified, received.gso_size
        header = _header(packet)
        if header is None:
            self._runs.append(_Run(parse(packet, verify=not verified, gso_size=gso_size), None))
            self._last.clear()  # its flow is unknown, so no packet may overtake it
            return
        run = self._last.get(header[0])
        if run is None or gso_size or not run.goes_on(header):
            run = _Run(parse(packet, verify=not verified, gso_size=gso_size), header[-1])
            self._runs.append(run)
            self._last[header[0]] = run
            return
        _, _, flags, body, end, _ = header
        run.check(packet, end, verified=verified)
        run.add(packet[body:end], flags)

    def segments(self) -> list[Segment]:
        """Return the segments, and start the next batch."""
        runs, self._runs = self._runs, []
        self._last.clear()
        return [run.merged() for run in runs]


class _Run:
    """A run of packets that become one segment.

    :param first: the segment of the first packet.
    """

    __slots__ = ("_common", "_first", "_flags", "_next_seq", "_octets", "_open", "_pieces",
                 "_pseudo", "_size", "_start")  # fmt: skip

    def __init__(self, first: Segment, common: tuple[object, ...] | None) -> None:
        flags, size = first.flags, len(first.payload)
        self._first = first
        self._common = common
        self._size = self._octets = size
        self._pieces: list[bytes | memoryview] = [first.payload]
        self._flags = flags
        self._next_seq = (first.seq + size) & 0xFFFF_FFFF
        self._open = bool(size and common) and not (
            flags & _ENDING or flags & ~_MERGEABLE or first.gso_size
        )
        self._start = _IPV6_HEADER if ":" in first.source.host else _IPV4_HEADER
        self._pseudo: int | None = None  # computed for the first checksum to check

    def goes_on(self, header: _Header) -> bool:
        """Return whether a packet continues the run and has equal headers."""
        _, seq, flags, body, end, common = header
        size = end - body
        return (
            self._open
            and seq == self._next_seq
            and 0 < size <= self._size
            and self._octets + size <= MOST
            and flags & ~_ENDING == self._first.flags & ~CWR
            and common == self._common
        )

    def check(self, packet: memoryview, end: int, *, verified: bool) -> None:
        """Check the checksums of a packet that continues the run. Raises PacketError.

        A correct IPv4 header adds up to 0, so one sum over the packet checks both.

        :param verified: whether the TCP checksum needs no check.
        """
        start = self._start
        if verified:
            wrong = start == _IPV4_HEADER and total(packet[:start])
        else:
            covered = packet[:end] if start == _IPV4_HEADER else packet[start:end]
            wrong = (self._pseudo_header() + end + total(covered)) % 0xFFFF
        if wrong:
            raise PacketError("the checksum of IPv4 or that of TCP is wrong")

    def _pseudo_header(self) -> int:
        """Return the sum of the pseudo-header of TCP, less the size of the IP header."""
        if self._pseudo is None:
            first = self._first
            addresses = total(pack(first.source.host)) + total(pack(first.destination.host))
            self._pseudo = addresses + TCP - self._start
        return self._pseudo

    def add(self, payload: memoryview, flags: int) -> None:
        """Add the payload of a packet that continues the run."""
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
    """Return the header fields to compare; ``None`` if the packet is damaged or unusual."""
    try:
        if packet[0] >> 4 == 6:
            fields = _IPV6.unpack_from(packet)
            kind, length, protocol, hops, flow, seq, ack, offset, flags, window, urgent = fields
            start, end = _IPV6_HEADER, _IPV6_HEADER + length
        else:
            fields = _IPV4.unpack_from(packet)
            first, kind, end, fragment, hops, protocol, flow = fields[:7]
            seq, ack, offset, flags, window, urgent = fields[7:]
            start = _IPV4_HEADER
            if first != _NO_OPTIONS or fragment & _FRAGMENT:
                return None
    except (struct.error, IndexError):
        return None
    options, body = start + 20, start + (offset >> 4) * 4
    if protocol != TCP or not options <= body <= end <= len(packet):
        return None
    common = kind, hops, ack, offset, window, urgent, bytes(packet[options:body])
    return flow, seq, flags, body, end, common
