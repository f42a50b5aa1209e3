"""The ICMP errors of routers (RFC 792, RFC 1191, RFC 4443)."""

from __future__ import annotations

import struct
from typing import Final

from testbed.packet.address import pack
from testbed.packet.checksum import checksum, total
from testbed.packet.codec import TCP
from testbed.packet.icmp import IcmpError, IcmpKind
from testbed.packet.segment import HOP_LIMIT

_ICMPV4: Final = 1
_ICMPV6: Final = 58
# Types and codes, of IPv4 and of IPv6.
_NUMBERS: Final = {
    IcmpKind.TOO_BIG: ((3, 4), (2, 0)),
    IcmpKind.UNREACHABLE: ((3, 1), (1, 0)),
    IcmpKind.PORT_UNREACHABLE: ((3, 3), (1, 4)),
    IcmpKind.PROHIBITED: ((3, 13), (1, 1)),
    IcmpKind.TIME_EXCEEDED: ((11, 0), (3, 0)),
}


def icmp_length(error: IcmpError) -> int:
    """Return the size of the IP packet of an error in octets."""
    return 2 * (40 if ":" in error.flow.local.host else 20) + 16


def emit_icmp(error: IcmpError, source: str) -> bytes:
    """Return the IP packet of an error from ``source`` to the sender of the segment.

    It quotes the IP header and 8 octets of the segment, as RFC 792 requires.
    """
    router, local = pack(source), pack(error.flow.local.host)
    remote = pack(error.flow.remote.host)
    ports = struct.pack("!HHI", error.flow.local.port, error.flow.remote.port, error.seq)
    v4, v6 = _NUMBERS[error.kind]
    if len(local) == 4:
        quoted = _ipv4(local, remote, TCP, len(ports) + 20) + ports
        message = _message(v4, struct.pack("!HH", 0, error.mtu) + quoted, 0)
        return _ipv4(router, local, _ICMPV4, len(message) + 20) + message
    quoted = _ipv6(local, remote, TCP, len(ports)) + ports
    body = struct.pack("!I", error.mtu) + quoted
    pseudo = total(router) + total(local) + _ICMPV6 + len(body) + 4
    message = _message(v6, body, pseudo)
    return _ipv6(router, local, _ICMPV6, len(message)) + message


def _message(numbers: tuple[int, int], body: bytes, pseudo: int) -> bytes:
    head = bytes(numbers)
    return head + checksum(pseudo + total(head) + total(body)).to_bytes(2, "big") + body


def _ipv4(source: bytes, destination: bytes, protocol: int, length: int) -> bytes:
    head = struct.pack("!BBHHHBB", 0x45, 0, length, 0, 0x4000, HOP_LIMIT, protocol)
    sum_ = checksum(total(head) + total(source) + total(destination))
    return head + sum_.to_bytes(2, "big") + source + destination


def _ipv6(source: bytes, destination: bytes, protocol: int, length: int) -> bytes:
    return struct.pack("!IHBB", 6 << 28, length, protocol, HOP_LIMIT) + source + destination
