"""IP packets with a TCP segment (RFC 791, RFC 8200, RFC 9293)."""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from typing import Final

import msgspec

from testbed.errors import PacketError
from testbed.packet.address import Address, address_of, pack
from testbed.packet.checksum import Octets, checksum, total
from testbed.packet.extension_headers import without_extension_headers
from testbed.packet.option_list import emit_options, options_size, parse_options
from testbed.packet.segment import CWR, FIN, PSH, URG, Segment

TCP: Final = 6  # IP protocol number

# The headers of IP and TCP in one.  Where IP has no options, addresses and ports lie side by side.
_IPV4_TCP: Final = struct.Struct("!BBHHHBBH12sIIBBHHH")
_IPV6_TCP: Final = struct.Struct("!IHBB36sIIBBHHH")
_PORTS: Final = struct.Struct("!HH")
_IPV4: Final = 20  # octets
_IPV6: Final = 40
_TCP: Final = 20
_NO_OPTIONS: Final = 0x45  # the first octet of IPv4 without options
_ECN: Final = 3  # the bits of ECN in the traffic class
_DONT_FRAGMENT: Final = 0x4000

# Values of the headers: start and end of the IP payload, traffic class, hop limit; both ends and
# the part of their addresses in a checksum; sequence and ACK number, data offset, flags, window,
# urgent pointer.
_Fields = tuple[int, int, int, int, Address, Address, int, int, int, int, int, int, int]


def header_length(segment: Segment) -> int:
    """Return the size of IP and TCP header of a segment in octets."""
    ip = _IPV6 if ":" in segment.source.host else _IPV4
    return ip + _TCP + options_size(segment.options)


def emit(segment: Segment, *, partial_checksum: bool = False) -> bytes:
    """Return the IP packet of a segment.

    :param partial_checksum: see :func:`emit_header`.
    :raises PacketError: the options or the payload do not fit.
    """
    return emit_header(segment, partial_checksum=partial_checksum) + segment.payload


def emit_header(segment: Segment, *, partial_checksum: bool = False) -> bytes:
    """Return the IP and TCP header of a segment.

    :param partial_checksum: leave the TCP checksum to the kernel. The field then covers only the
        pseudo-header, as ``VIRTIO_NET_HDR_F_NEEDS_CSUM`` requires.
    :raises PacketError: the options or the payload do not fit.
    """
    options = emit_options(segment.options)
    ends, addresses, ports = _octets_of(segment.source, segment.destination)
    seq, ack, window, urgent = segment.seq, segment.ack, segment.window, segment.urgent
    flags, hops = segment.flags, segment.hop_limit
    octet = segment.traffic_class & ~_ECN | segment.ecn
    offset = _TCP + len(options)
    length = offset + len(segment.payload)
    sum_ = addresses + TCP + length  # the sum of the pseudo-header
    if partial_checksum:
        sum_ %= 0xFFFF
    else:  # 2**16 is 1 modulo 0xFFFF, so numbers of 32 bits count as they are
        sum_ += ports + seq + ack + (offset << 10) + flags + window + urgent
        sum_ = checksum(sum_ + total(options) + total(segment.payload))
    if len(ends) > _IPV4:
        if length > 0xFFFF:
            raise _too_long(length, "IPv6")
        fixed = _IPV6_TCP.pack(
            6 << 28 | octet << 20, length, TCP, hops,
            ends, seq, ack, offset << 2, flags, window, sum_, urgent,
        )  # fmt: skip
    else:
        whole = _IPV4 + length
        if whole > 0xFFFF:
            raise _too_long(whole, "IPv4")
        first = checksum(0x4500 + octet + whole + _DONT_FRAGMENT + (hops << 8) + TCP + addresses)
        fixed = _IPV4_TCP.pack(
            _NO_OPTIONS, octet, whole, 0, _DONT_FRAGMENT, hops, TCP, first,
            ends, seq, ack, offset << 2, flags, window, sum_, urgent,
        )  # fmt: skip
    return fixed + options


@functools.lru_cache(maxsize=4096)
def _octets_of(source: Address, destination: Address) -> tuple[bytes, int, int]:
    """Return the octets of addresses and ports, and their share in a checksum."""
    ours, theirs = pack(source.host), pack(destination.host)
    if len(ours) != len(theirs):
        raise PacketError("one address is IPv4 and the other IPv6")
    ports = _PORTS.pack(source.port, destination.port)
    return ours + theirs + ports, total(ours) + total(theirs), total(ports)


def _too_long(octets: int, version: str) -> PacketError:
    return PacketError(f"{octets} octets do not fit into an {version} packet")


def parse(packet: Octets, *, verify: bool = True, gso_size: int = 0) -> Segment:
    """Parse an IP packet. Its payload is copied once.

    :param verify: check the TCP checksum. It needs no check if the virtio header says that the
        kernel has checked it, or has left it unfinished between two hosts of one machine.
    :param gso_size: the ``gso_size`` of the virtio header, for a merged packet.
    :raises PacketError: it is no complete, correct TCP segment.
    """
    try:
        first = packet[0]
        if first != _NO_OPTIONS:
            if first >> 4 == 4:
                packet, first = _without_ip_options(packet), _NO_OPTIONS
            elif first >> 4 == 6 and packet[6] != TCP:
                packet = without_extension_headers(packet)
        (
            start, end, octet, hops, source, destination, addresses,
            seq, ack, offset, flags, window, urgent,
        ) = _ipv4_fields(packet) if first == _NO_OPTIONS else _ipv6_fields(packet)  # fmt: skip
    except (struct.error, IndexError) as error:
        raise PacketError(f"{len(packet)} octets are no whole TCP segment") from error
    header, length = (offset >> 4) * 4, end - start
    if length < _TCP:  # there are more octets than IP says
        raise PacketError(f"{length} octets are no whole TCP segment")
    if not _TCP <= header <= length:
        raise PacketError(f"a TCP header of {header} octets in a segment of {length}")
    if verify and (addresses + TCP + length + total(packet[start:end])) % 0xFFFF:
        raise PacketError("the TCP checksum is wrong")
    options, body = start + _TCP, start + header
    return Segment(
        source=source,
        destination=destination,
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


def _ipv4_fields(packet: Octets) -> _Fields:
    """Read the headers of a packet of IPv4 without options of IP."""
    (
        first, octet, end, number, fragment, hops, protocol, sum_,
        ends, seq, ack, offset, flags, window, _, urgent,
    ) = _IPV4_TCP.unpack_from(packet)  # fmt: skip
    if not _IPV4 <= end <= len(packet):
        raise _wrong_length(_IPV4, end)
    source, destination, addresses = _ends_of(ends)
    words = (first << 8) + octet + end + number + fragment + (hops << 8) + protocol + sum_
    if (words + addresses) % 0xFFFF:
        raise _wrong_checksum()
    if protocol != TCP or fragment & 0x3FFF:
        raise PacketError("an IPv4 packet that is a fragment or not TCP")
    return (
        _IPV4, end, octet, hops, source, destination, addresses,
        seq, ack, offset, flags, window, urgent,
    )  # fmt: skip


def _ipv6_fields(packet: Octets) -> _Fields:
    """Read the headers of a packet of IPv6."""
    version = packet[0] >> 4
    if version != 6:
        raise PacketError(f"IP version {version}")
    (
        word, length, protocol, hops, ends, seq, ack, offset, flags, window, _, urgent,
    ) = _IPV6_TCP.unpack_from(packet)  # fmt: skip
    if protocol != TCP:
        raise PacketError(f"an IPv6 packet whose next header is {protocol}, not TCP")
    end = _IPV6 + length
    if end > len(packet):
        raise PacketError(f"an IPv6 packet of {len(packet)} octets says {length}")
    source, destination, addresses = _ends_of(ends)
    return (
        _IPV6, end, word >> 20 & 0xFF, hops, source, destination, addresses,
        seq, ack, offset, flags, window, urgent,
    )  # fmt: skip


def _wrong_length(header: int, whole: int) -> PacketError:
    return PacketError(f"an IPv4 header says {header} of {whole} octets")


def _wrong_checksum() -> PacketError:
    return PacketError("the IPv4 header checksum is wrong")


def _without_ip_options(packet: Octets) -> bytes:
    """Return an IPv4 packet without its IP options, which are ignored."""
    header, whole = (packet[0] & 0x0F) * 4, int.from_bytes(packet[2:4], "big")
    if not _IPV4 <= header <= whole <= len(packet):
        raise _wrong_length(header, whole)
    if total(packet[:header]):
        raise _wrong_checksum()
    length = (_IPV4 + whole - header).to_bytes(2, "big")
    before = b"".join((bytes((_NO_OPTIONS, packet[1])), length, packet[4:10]))
    addresses = bytes(packet[12:_IPV4])
    sum_ = checksum(total(before) + total(addresses)).to_bytes(2, "big")
    return b"".join((before, sum_, addresses, packet[header:whole]))


@functools.lru_cache(maxsize=4096)
def _ends_of(octets: bytes) -> tuple[Address, Address, int]:
    """Return both ends of a received packet, and the share of the addresses in a checksum."""
    size = (len(octets) - _PORTS.size) // 2
    ours, theirs = octets[:size], octets[size : 2 * size]
    source, destination = _PORTS.unpack(octets[2 * size :])
    addresses = total(ours) + total(theirs)
    return address_of(ours, source), address_of(theirs, destination), addresses


def split(segment: Segment) -> Iterator[Segment]:
    """Split a segment into wire segments, as generic segmentation offload does.

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
