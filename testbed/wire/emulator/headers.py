"""The fields of an Ethernet frame that queues use: the ECN field and the flow.

Offsets are those of RFC 791, RFC 8200 and the first octets of TCP and UDP.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

_ETHERTYPE: Final = slice(12, 14)
_IPV4: Final = b"\x08\x00"
_IPV6: Final = b"\x86\xdd"
_IP: Final = 14  # the offset of the IP header
_ECN: Final = 0b11
_WITH_PORTS: Final = frozenset({6, 17, 33, 132, 136})  # TCP, UDP, DCCP, SCTP, UDP-Lite
_FRAGMENT: Final = 0x1FFF


def set_ce(frame: memoryview) -> bool:
    """Set CE in place; return False if the packet is not ECN-capable (RFC 3168, section 5)."""
    kind = bytes(frame[_ETHERTYPE])
    if kind == _IPV4 and len(frame) >= _IP + 20:
        return _set_ce_ipv4(frame)
    if kind == _IPV6 and len(frame) >= _IP + 40:
        # The traffic class lies across two octets; its ECN field is in the second.
        if not frame[_IP + 1] >> 4 & _ECN:
            return False
        frame[_IP + 1] |= _ECN << 4
        return True
    return False


def _set_ce_ipv4(frame: memoryview) -> bool:
    ecn = frame[_IP + 1] & _ECN
    if not ecn:
        return False
    (checksum,) = struct.unpack_from("!H", frame, _IP + 10)
    # RFC 1624, equation 3: the word has grown by what the ECN field has.
    total = (~checksum & 0xFFFF) + (_ECN - ecn)
    total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into("!H", frame, _IP + 10, ~total & 0xFFFF)
    frame[_IP + 1] |= _ECN
    return True


def flow(frame: memoryview) -> int:
    """Return a hash of the addresses, the protocol and the ports."""
    kind = bytes(frame[_ETHERTYPE])
    if kind == _IPV4 and len(frame) >= _IP + 20:
        return _flow_ipv4(frame)
    if kind == _IPV6 and len(frame) >= _IP + 40:
        protocol = frame[_IP + 6]
        ports = frame[_IP + 40 : _IP + 44] if protocol in _WITH_PORTS else b""
        return zlib.crc32(ports, zlib.crc32(frame[_IP + 8 : _IP + 40], protocol))
    return zlib.crc32(frame[:14])


def _flow_ipv4(frame: memoryview) -> int:
    protocol = frame[_IP + 9]
    (fragment,) = struct.unpack_from("!H", frame, _IP + 6)
    start = _IP + 4 * (frame[_IP] & 0xF)
    # Fragments but the first have no ports; so none of a fragmented packet's are looked at.
    whole = not fragment & (_FRAGMENT | 0x2000)
    ports = frame[start : start + 4] if whole and protocol in _WITH_PORTS else b""
    return zlib.crc32(ports, zlib.crc32(frame[_IP + 12 : _IP + 20], protocol))
