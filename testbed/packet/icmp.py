"""ICMP errors that concern TCP (RFC 792, RFC 1191, RFC 4443, RFC 8201, RFC 5927)."""

from __future__ import annotations

import enum
import struct
from typing import Final

import msgspec

from testbed.errors import PacketError
from testbed.packet.address import Address, Flow, unpack
from testbed.packet.checksum import total


class IcmpKind(enum.Enum):
    """The meaning of an error for a connection.

    ``NO_ROUTE`` is a local error that no router sends: this host has no route.
    """

    NO_ROUTE = "no way from this host"
    TOO_BIG = "packet too big"
    UNREACHABLE = "host or network unreachable"
    PORT_UNREACHABLE = "protocol or port unreachable"
    PROHIBITED = "administratively prohibited"
    TIME_EXCEEDED = "time to live exceeded"
    PARAMETER_PROBLEM = "parameter problem"


class IcmpError(msgspec.Struct, frozen=True, kw_only=True):
    """An error about one of our segments.

    :param flow: the flow of the segment. Its source is the local end.
    :param seq: the sequence number of the segment, which detects blind attacks (RFC 5927).
    :param mtu: the MTU of the next hop, only for TOO_BIG; 0 if unknown.
    """

    kind: IcmpKind
    flow: Flow
    seq: int
    mtu: int = 0


# By version, type and code.  RFC 1122, section 3.2.2.1, and the registry of ICMPv6 (RFC 4443).
_KINDS: Final = {
    **{(4, 3, code): IcmpKind.UNREACHABLE for code in (0, 1, 5, 6, 7, 11, 12)},
    **{(4, 3, code): IcmpKind.PORT_UNREACHABLE for code in (2, 3)},
    (4, 3, 4): IcmpKind.TOO_BIG,
    **{(4, 3, code): IcmpKind.PROHIBITED for code in (9, 10, 13)},
    (4, 11, 0): IcmpKind.TIME_EXCEEDED,
    **{(4, 12, code): IcmpKind.PARAMETER_PROBLEM for code in (0, 1, 2)},
    **{(6, 1, code): IcmpKind.UNREACHABLE for code in (0, 2, 3)},
    **{(6, 1, code): IcmpKind.PROHIBITED for code in (1, 5, 6)},
    (6, 1, 4): IcmpKind.PORT_UNREACHABLE,
    (6, 2, 0): IcmpKind.TOO_BIG,
    (6, 3, 0): IcmpKind.TIME_EXCEEDED,
    **{(6, 4, code): IcmpKind.PARAMETER_PROBLEM for code in (0, 1, 2)},
}
# They may pass, and end no connection, not even an attempt (RFC 9293, section 3.9.2.2, MUST-56).
SOFT: Final = frozenset({IcmpKind.UNREACHABLE, IcmpKind.TIME_EXCEEDED, IcmpKind.PARAMETER_PROBLEM})
_ICMP: Final = 1  # IP protocol numbers
_TCP: Final = 6
_ICMPV6: Final = 58


def parse_icmp(packet: bytes) -> IcmpError | None:
    """Parse an IP packet with an ICMP error; ``None`` if it does not concern TCP.

    :raises PacketError: the packet is malformed.
    """
    try:
        version, message = _message(packet)
        kind = _KINDS.get((version, message[0], message[1]))
        if kind is None:
            return None
        unused, mtu = struct.unpack_from("!HH", message, 4)
        if version == 6:
            mtu |= unused << 16
        quoted = _quoted(version, message[8:])
    except (struct.error, IndexError) as error:
        raise PacketError(f"{len(packet)} octets are no whole ICMP error") from error
    if quoted is None:
        return None
    flow, seq = quoted
    return IcmpError(kind=kind, flow=flow, seq=seq, mtu=mtu if kind is IcmpKind.TOO_BIG else 0)


def _message(packet: bytes) -> tuple[int, bytes]:
    """Return the version of IP and the checked ICMP message in a packet."""
    version = packet[0] >> 4
    if (version, packet[9]) == (4, _ICMP):
        message = packet[(packet[0] & 0x0F) * 4 : struct.unpack_from("!H", packet, 2)[0]]
        pseudo = 0
    elif (version, packet[6]) == (6, _ICMPV6):
        message = packet[40 : 40 + struct.unpack_from("!H", packet, 4)[0]]
        pseudo = total(packet[8:40]) + _ICMPV6 + len(message)
    else:
        raise PacketError("an IP packet that is not ICMP")
    if (pseudo + total(message)) % 0xFFFF:
        raise PacketError("the ICMP checksum is wrong")
    return version, message


def _quoted(version: int, packet: bytes) -> tuple[Flow, int] | None:
    """Return flow and sequence number of the quoted segment; ``None`` if it is not TCP."""
    if packet[0] >> 4 != version or packet[9 if version == 4 else 6] != _TCP:
        return None
    if version == 4:
        header = (packet[0] & 0x0F) * 4
        if header < 20:
            raise PacketError(f"an ICMP error quotes an IPv4 header of {header} octets")
        source, destination = packet[12:16], packet[16:20]
    else:
        header = 40
        source, destination = packet[8:24], packet[24:40]
    source_port, destination_port, seq = struct.unpack_from("!HHI", packet, header)
    local = Address(unpack(source), source_port)
    return Flow(local, Address(unpack(destination), destination_port)), seq
