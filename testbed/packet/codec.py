"""Whole IP packets with a TCP segment in them (RFC 791, RFC 8200, RFC 9293)."""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from typing import Final

import msgspec

from testbed.errors import PacketError
from testbed.packet.address import address_of, pack
from testbed.packet.checksum import Octets, checksum, total
from testbed.packet.option_list import emit_options, options_size, parse_options
from testbed.packet.segment import CWR, FIN, PSH, URG, Segment

TCP: Final = 6  # IP protocol number

_IPV4: Final = struct.Struct("!BBHHHBBH4s4s")
_IPV6: Final = struct.Struct("!IHBB16s16s")
_TCP: Final = struct.Struct("!HHIIBBHHH")
_ECN: Final = 3  # the bits of ECN in the traffic class
_DONT_FRAGMENT: Final = 0x4000


def header_length(segment: Segment) -> int:
    """Return the octets of IP and TCP header of a segment."""
    ip = _IPV6.size if ":" in segment.source.host else _IPV4.size
    return ip + _TCP.size + options_size(segment.options)


def emit(segment: Segment, *, partial_checksum: bool = False) -> bytes:
    """Return the IP packet of a segment.

    :param partial_checksum: see :func:`emit_header`.
    :raises PacketError: the options or the payload do not fit.
    """
    return emit_header(segment, partial_checksum=partial_checksum) + segment.payload


def emit_header(segment: Segment, *, partial_checksum: bool = False) -> bytes:
    """Return the IP and TCP header of a segment: what comes before its payload.

    :param partial_checksum: leave the TCP checksum to the kernel: only the pseudo-header is in
        it, as ``VIRTIO_NET_HDR_F_NEEDS_CSUM`` wants.
    :raises PacketError: the options or the payload do not fit.
    """
    options = emit_options(segment.options)
    source, destination, addresses = _packed(segment.source.host, segment.destination.host)
    length = _TCP.size + len(options) + len(segment.payload)
    pseudo = addresses + TCP + length
    header = _TCP.pack(
        segment.source.port,
        segment.destination.port,
        segment.seq,
        segment.ack,
        (5 + len(options) // 4) << 4,
        segment.flags,
        segment.window,
        pseudo % 0xFFFF if partial_checksum else 0,
        segment.urgent,
    )
    if not partial_checksum:
        sum_ = checksum(pseudo, total(header), total(options), total(segment.payload))
        header = b"".join((header[:16], sum_.to_bytes(2, "big"), header[18:]))
    return _ip_header(segment, source, destination, addresses, length) + header + options


@functools.lru_cache(maxsize=4096)
def _packed(source: str, destination: str) -> tuple[bytes, bytes, int]:
    """Return the octets of two addresses of one family, and their part of a checksum."""
    ours, theirs = pack(source), pack(destination)
    if len(ours) != len(theirs):
        raise PacketError("one address is IPv4 and the other IPv6")
    return ours, theirs, total(ours) + total(theirs)


def _ip_header(
    segment: Segment, source: bytes, destination: bytes, addresses: int, length: int
) -> bytes:
    """Return the IP header before a TCP segment of ``length`` octets.

    :param addresses: the part of both in a checksum.
    """
    octet, hops = segment.traffic_class & ~_ECN | segment.ecn, segment.hop_limit
    if len(source) == 16:
        if length > 0xFFFF:
            raise PacketError(f"{length} octets do not fit into an IPv6 packet")
        return _IPV6.pack(6 << 28 | octet << 20, length, TCP, hops, source, destination)
    if length + _IPV4.size > 0xFFFF:
        raise PacketError(f"{length} octets do not fit into an IPv4 packet")
    whole = _IPV4.size + length
    sum_ = checksum(0x4500 | octet, whole, _DONT_FRAGMENT, hops << 8 | TCP, addresses)
    return _IPV4.pack(0x45, octet, whole, 0, _DONT_FRAGMENT, hops, TCP, sum_, source, destination)


def parse(packet: Octets, *, verify: bool = True, gso_size: int = 0) -> Segment:
    """Read an IP packet; its payload is copied, once.

    :param verify: check the TCP checksum; a kernel that has checked it already, or that has left
        it unfinished between two hosts of one machine, says so in the virtio header.
    :param gso_size: as the virtio header tells of a packet that was put together.
    :raises PacketError: it is not a whole, correct TCP segment.
    """
    try:
        source, destination, octet, hops, start, end = _parse_ip(packet)
        (
            source_port,
            destination_port,
            seq,
            ack,
            offset,
            flags,
            window,
            _,
            urgent,
        ) = _TCP.unpack_from(packet, start)
    except (struct.error, IndexError) as error:
        raise PacketError(f"{len(packet)} octets are no whole TCP segment") from error
    header, length = (offset >> 4) * 4, end - start
    if length < _TCP.size:  # there are more octets than IP says
        raise PacketError(f"{length} octets are no whole TCP segment")
    if not _TCP.size <= header <= length:
        raise PacketError(f"a TCP header of {header} octets in a segment of {length}")
    if verify:
        pseudo = total(source) + total(destination) + TCP + length
        if (pseudo + total(packet[start:end])) % 0xFFFF:
            raise PacketError("the TCP checksum is wrong")
    options, body = start + _TCP.size, start + header
    return Segment(
        source=address_of(source, source_port),
        destination=address_of(destination, destination_port),
        seq=seq,
        ack=ack,
        flags=flags,
        window=window,
        options=parse_options(bytes(packet[options:body])) if body > options else (),
        payload=bytes(packet[body:end]),
        gso_size=gso_size,
        ecn=octet & _ECN,
        traffic_class=octet & ~_ECN,
        hop_limit=hops,
        urgent=urgent,
    )


def _parse_ip(packet: Octets) -> tuple[bytes, bytes, int, int, int, int]:
    """Return source, destination, traffic class, hop limit; where what IP carries starts, ends."""
    version = packet[0] >> 4
    if version == 4:
        header = (packet[0] & 0x0F) * 4
        fields = _IPV4.unpack_from(packet)
        _, octet, length, _, fragment, hops, protocol, _, source, destination = fields
        if header < _IPV4.size or not header <= length <= len(packet):
            raise PacketError(f"an IPv4 header says {header} of {length} octets")
        if protocol != TCP or fragment & 0x3FFF:
            raise PacketError("an IPv4 packet that is a fragment or not TCP")
        if total(packet[:header]):
            raise PacketError("the IPv4 header checksum is wrong")
        return source, destination, octet, hops, header, length
    if version == 6:
        word, length, protocol, hops, source, destination = _IPV6.unpack_from(packet)
        if protocol != TCP:
            raise PacketError(f"an IPv6 packet whose next header is {protocol}, not TCP")
        if _IPV6.size + length > len(packet):
            raise PacketError(f"an IPv6 packet of {len(packet)} octets says {length}")
        return source, destination, word >> 20 & 0xFF, hops, _IPV6.size, _IPV6.size + length
    raise PacketError(f"IP version {version}")


def split(segment: Segment) -> Iterator[Segment]:
    """Cut a segment into the ones that go on the wire, as generic segmentation offload does.

    FIN and PSH go with the last piece, CWR with the first (RFC 3168, section 6.1.2).
    """
    size = segment.gso_size
    if not size or len(segment.payload) <= size:
        yield msgspec.structs.replace(segment, gso_size=0) if size else segment
        return
    for start in range(0, len(segment.payload), size):
        payload = segment.payload[start : start + size]
        flags = segment.flags
        urgent = max(0, segment.urgent - start)
        if urgent < segment.urgent and not urgent:
            flags &= ~URG
        if start + size < len(segment.payload):
            flags &= ~(FIN | PSH)
        if start:
            flags &= ~CWR
        yield msgspec.structs.replace(
            segment,
            seq=(segment.seq + start) & 0xFFFF_FFFF,
            flags=flags,
            payload=payload,
            gso_size=0,
            urgent=urgent,
        )
