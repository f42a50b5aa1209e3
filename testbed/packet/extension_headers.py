"""Extension headers of IPv6 (RFC 8200, section 4)."""

from __future__ import annotations

from typing import Final

from testbed.errors import PacketError
from testbed.packet.checksum import Octets

_FIXED: Final = 40  # octets of the IPv6 header
_HOP_BY_HOP: Final = 0
_ROUTING: Final = 43
_FRAGMENT: Final = 44
_DESTINATION: Final = 60
_KNOWN: Final = frozenset({_HOP_BY_HOP, _ROUTING, _FRAGMENT, _DESTINATION})
_PAD_1: Final = 0  # the only option without a length
_REQUIRED: Final = 0xC0  # a host that does not know an option with one of these bits must discard


def without_extension_headers(packet: Octets) -> bytes:
    """Return an IPv6 packet without its extension headers, which a host may ignore.

    A fragment header is ignored if the packet is whole (RFC 6946).

    :raises PacketError: a host must discard the packet, as it is a fragment, has an option that may
        not be ignored, or has not reached its last destination.
    :raises IndexError: the packet ends in a header.
    """
    protocol, at = packet[6], _FIXED
    end = _FIXED + int.from_bytes(packet[4:6], "big")
    while protocol in _KNOWN:
        length = 8 if protocol == _FRAGMENT else (packet[at + 1] + 1) * 8
        if at + length > min(end, len(packet)):
            raise PacketError("an IPv6 packet that ends in its extension headers")
        header = packet[at : at + length]
        if protocol == _FRAGMENT:
            if header[2] or header[3] & 0xF9:
                raise PacketError("an IPv6 packet that is a fragment")
        elif protocol == _ROUTING:
            if header[3]:
                raise PacketError(f"an IPv6 packet with {header[3]} segments left")
        elif protocol == _HOP_BY_HOP and at > _FIXED:
            raise PacketError("an IPv6 packet whose hop-by-hop options are not the first header")
        else:
            _check_options(header)
        protocol, at = header[0], at + length
    size = (end - at).to_bytes(2, "big")
    addresses = bytes(packet[8:_FIXED])
    start = b"".join((packet[:4], size, bytes((protocol, packet[7])), addresses))
    return start + bytes(packet[at:])


def _check_options(header: Octets) -> None:
    """Check that all options of a header may be ignored (section 4.2)."""
    at = 2
    while at < len(header):
        kind = header[at]
        if kind & _REQUIRED:
            raise PacketError(f"an IPv6 packet with option {kind}, which is unknown")
        at += 1 if kind == _PAD_1 else 2 + header[at + 1]
