"""The options of a header: parsing, encoding and size.

Padding (NOP and end of list) is not kept. Encoding creates new padding.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Final

from testbed.errors import PacketError
from testbed.packet import mptcp, mptcp_decoder
from testbed.packet.options import (
    MAX_LENGTH,
    FastOpen,
    MaximumSegmentSize,
    Option,
    Sack,
    SackPermitted,
    Timestamps,
    UnknownOption,
    UserTimeout,
    WindowScale,
)

_END: Final = 0
_NOP: Final = 1
_ALIGNED_TIMESTAMPS: Final = 0x0101080A  # two NOPs, kind and length
_ALIGNED: Final = struct.Struct("!III")
_PADDING: Final = (b"", b"\x01", b"\x01\x01", b"\x01\x01\x01")

_COOKIES: Final = (0, *range(4, 17, 2))

Decoder = Callable[[bytes], Option | None]


def _sack(data: bytes) -> Option | None:
    if not data or len(data) % 8:
        return None
    edges = struct.unpack(f"!{len(data) // 4}I", data)
    return Sack(tuple(zip(edges[::2], edges[1::2], strict=True)))


def _timestamps(data: bytes) -> Option | None:
    return Timestamps(*struct.unpack("!II", data)) if len(data) == 8 else None


def _user_timeout(data: bytes) -> Option | None:
    if len(data) != 2:
        return None
    number = int.from_bytes(data, "big")
    return UserTimeout(number & 0x7FFF, minutes=bool(number >> 15))


def _fast_open(data: bytes) -> Option | None:
    """Decode a cookie: 4 to 16 octets, an even number."""
    return FastOpen(data) if len(data) in _COOKIES else None


# For each kind, a decoder of the octets after kind and length.  None: the form is unknown.
DECODERS: Final[dict[int, Decoder]] = {
    2: lambda data: MaximumSegmentSize(int.from_bytes(data, "big")) if len(data) == 2 else None,
    3: lambda data: WindowScale(data[0]) if len(data) == 1 else None,
    4: lambda data: None if data else SackPermitted(),
    5: _sack,
    8: _timestamps,
    28: _user_timeout,
    mptcp.KIND: mptcp_decoder.decode,
    34: _fast_open,
}


def parse_options(octets: bytes) -> tuple[Option, ...]:
    """Parse the options of a header.

    An illegal length ends the list. The options before it are valid: a malformed option must not
    invalidate the segment (RFC 9293, MUST-7).
    """
    found: list[Option] = []
    at, end = 0, len(octets)
    if end >= _ALIGNED.size:
        first, value, echo = _ALIGNED.unpack_from(octets)
        if first == _ALIGNED_TIMESTAMPS:  # the only option of most segments of plain TCP
            if end == _ALIGNED.size:
                return (Timestamps(value, echo),)
            found.append(Timestamps(value, echo))
            at = _ALIGNED.size
    while at < end:
        kind = octets[at]
        if kind == _NOP:
            at += 1
            continue
        if kind == _END or at + 1 >= end:
            break
        length = octets[at + 1]
        if length < 2 or at + length > end:
            break
        data = octets[at + 2 : at + length]
        decoder = DECODERS.get(kind)
        found.append((decoder and decoder(data)) or UnknownOption(kind, data))
        at += length
    return tuple(found)


def emit_options(options: Iterable[Option]) -> bytes:
    """Encode options, each padded in front to end on a 32-bit boundary.

    :raises PacketError: the options exceed 40 octets.
    """
    parts = []
    for option in options:
        if type(option) is Timestamps:  # nearly every segment has this option
            parts.append(_ALIGNED.pack(_ALIGNED_TIMESTAMPS, option.value, option.echo))
            continue
        encoded = option.encode()
        parts.append(_PADDING[-len(encoded) % 4])
        parts.append(encoded)
    whole = b"".join(parts)
    if len(whole) > MAX_LENGTH:
        whole = _tight(options)
    return whole


def _tight(options: Iterable[Option]) -> bytes:
    """Encode options without padding between them, as some fit only so."""
    whole = b"".join(option.encode() for option in options)
    whole += b"\x01" * (-len(whole) % 4)
    if len(whole) > MAX_LENGTH:
        raise PacketError(f"{len(whole)} octets of options do not fit into {MAX_LENGTH}")
    return whole


def options_size(options: Iterable[Option]) -> int:
    """Return the size of the result of :func:`emit_options` in octets."""
    tight = padded = 0
    for option in options:
        size = option.size
        tight += size
        padded += (size + 3) & ~3
    return padded if padded <= MAX_LENGTH else (tight + 3) & ~3
