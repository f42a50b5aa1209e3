"""Answers to pings of addresses that the kernel does not have (RFC 792, RFC 4443, section 4.2)."""

from __future__ import annotations

from typing import Final

_PROTOCOL: Final = {4: 9, 6: 6}  # offset of the protocol field in the IP header
_FRAGMENT: Final = 0x3FFF
# For ICMP and ICMPv6: protocol, type of an echo request, type of its reply.
_ICMP, _ICMPV6 = (1, 8, 0), (58, 128, 129)


def answer(packet: bytes) -> bytes | None:
    """Return the reply to an echo request, or ``None`` for another packet."""
    version = packet[0] >> 4
    six = version == 6
    start = 40 if six else (packet[0] & 15) * 4
    protocol, request, reply = _ICMPV6 if six else _ICMP
    if packet[_PROTOCOL.get(version, 0)] != protocol or len(packet) < start + 8:
        return None
    fragment = not six and int.from_bytes(packet[6:8], "big") & _FRAGMENT
    if fragment or packet[start] != request:
        return None
    answered = bytearray(packet)
    at, size = (8, 16) if six else (12, 4)
    answered[at : at + size] = packet[at + size : at + 2 * size]
    answered[at + size : at + 2 * size] = packet[at : at + size]
    answered[start] = reply
    # Of the fields under the checksum, only the type has changed (RFC 1624, equation 3).
    old = int.from_bytes(packet[start + 2 : start + 4], "big")
    total = (old ^ 0xFFFF) + ((request << 8) ^ 0xFFFF) + (reply << 8)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    answered[start + 2 : start + 4] = (total ^ 0xFFFF).to_bytes(2, "big")
    return bytes(answered)
