"""ICMP errors that concern TCP (RFC 792, RFC 1191, RFC 4443, RFC 8201, RFC 5927)."""

from __future__ import annotations

import enum
import struct
from typing import Final

import msgspec

from testbed.errors import PacketError
from testbed.stack.packet.address import Address, Flow, unpack
from testbed.stack.packet.checksum import total


class IcmpKind(enum.Enum):
    """What an error means for a connection."""

    TOO_BIG = "packet too big"
    UNREACHABLE = "host or network unreachable"
    PORT_UNREACHABLE = "protocol or port unreachable"
    PROHIBITED = "administratively prohibited"
    TIME_EXCEEDED = "time to live exceeded"


class IcmpError(msgspec.Struct, frozen=True, kw_only=True):
    """An error about one of our segments.

    :param flow: the segment's, its source as the local end.
    :param seq: the segment's sequence number, by which blind attacks are told (RFC 5927).
    :param mtu: of the next hop; for TOO_BIG only.
    """

    kind: IcmpKind
    flow: Flow
    seq: int
    mtu: int = 0


_IPV4_KINDS: Final = {
    (3, 0): IcmpKind.UNREACHABLE,
    (3, 1): IcmpKind.UNREACHABLE,
    (3, 2): IcmpKind.PORT_UNREACHABLE,
    (3, 3): IcmpKind.PORT_UNREACHABLE,
    (3, 4): IcmpKind.TOO_BIG,
    (3, 5): IcmpKind.UNREACHABLE,
    (3, 9): IcmpKind.PROHIBITED,
    (3, 10): IcmpKind.PROHIBITED,
    (3, 13): IcmpKind.PROHIBITED,
    (11, 0): IcmpKind.TIME_EXCEEDED,
}
_IPV6_KINDS: Final = {
    (1, 0): IcmpKind.UNREACHABLE,
    (1, 1): IcmpKind.PROHIBITED,
    (1, 3): IcmpKind.UNREACHABLE,
    (1, 4): IcmpKind.PORT_UNREACHABLE,
    (2, 0): IcmpKind.TOO_BIG,
    (3, 0): IcmpKind.TIME_EXCEEDED,
}
_ICMPV6: Final = 58


def parse_icmp(packet: bytes) -> IcmpError | None:
    """Read an IP packet with an ICMP error in it; ``None`` if it is one that does not concern TCP.

    :raises PacketError: it is broken.
    """
    try:
        return _parse(packet)
    except (struct.error, IndexError) as error:
        raise PacketError(f"{len(packet)} octets are no whole ICMP error") from error


def _parse(packet: bytes) -> IcmpError | None:
    if packet[0] >> 4 == 4:
        icmp = packet[(packet[0] & 0x0F) * 4 : struct.unpack_from("!H", packet, 2)[0]]
        kind = _IPV4_KINDS.get((icmp[0], icmp[1]))
        if total(icmp):
            raise PacketError("the ICMP checksum is wrong")
        mtu = struct.unpack_from("!H", icmp, 6)[0]
        inner = icmp[8:]
        if kind is None or inner[0] >> 4 != 4 or inner[9] != 6:
            return None
        source, destination = inner[12:16], inner[16:20]
        tcp = inner[(inner[0] & 0x0F) * 4 :]
    else:
        icmp = packet[40 : 40 + struct.unpack_from("!H", packet, 4)[0]]
        kind = _IPV6_KINDS.get((icmp[0], icmp[1]))
        if (total(packet[8:40]) + _ICMPV6 + len(icmp) + total(icmp)) % 0xFFFF:
            raise PacketError("the ICMPv6 checksum is wrong")
        mtu = struct.unpack_from("!I", icmp, 4)[0]
        inner = icmp[8:]
        if kind is None or inner[0] >> 4 != 6 or inner[6] != 6:
            return None
        source, destination = inner[8:24], inner[24:40]
        tcp = inner[40:]
    source_port, destination_port, seq = struct.unpack_from("!HHI", tcp)
    flow = Flow(
        Address(unpack(source), source_port), Address(unpack(destination), destination_port)
    )
    return IcmpError(kind=kind, flow=flow, seq=seq, mtu=mtu if kind is IcmpKind.TOO_BIG else 0)
