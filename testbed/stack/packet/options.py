"""TCP options (RFC 9293, section 3.1; RFC 7323; RFC 2018; RFC 5482; RFC 7413).

MPTCP's are in ``mptcp.py``.

Padding (NOP and end of list) is not kept: it is made anew when options are emitted.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

import msgspec

from testbed.errors import PacketError

MAX_LENGTH: Final = 40  # octets of options in one segment

_END: Final = 0
_NOP: Final = 1


class Option(msgspec.Struct, frozen=True):
    """Base of all options.  ``encode`` gives the whole option, kind and length included."""

    kind: ClassVar[int]

    def encode(self) -> bytes:
        """Return the octets of the option."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """How many octets that is."""
        return len(self.encode())


class UnknownOption(Option, frozen=True):
    """An option nobody here knows, or one whose length fits none of its forms."""

    number: int
    data: bytes

    def encode(self) -> bytes:
        """Return the octets as they came."""
        return bytes((self.number, 2 + len(self.data))) + self.data


class MaximumSegmentSize(Option, frozen=True):
    """The largest payload its sender takes, plus options (RFC 9293, section 3.7.1)."""

    kind = 2
    mss: int

    def encode(self) -> bytes:
        """Return 4 octets."""
        return struct.pack("!BBH", 2, 4, self.mss)


class WindowScale(Option, frozen=True):
    """By how many bits its sender's windows are shifted (RFC 7323, section 2)."""

    kind = 3
    shift: int

    def encode(self) -> bytes:
        """Return 3 octets."""
        return bytes((3, 3, self.shift))


class SackPermitted(Option, frozen=True):
    """Its sender takes SACK options (RFC 2018, section 2)."""

    kind = 4

    def encode(self) -> bytes:
        """Return 2 octets."""
        return b"\x04\x02"


class Sack(Option, frozen=True):
    """Blocks that have arrived: left edge, right edge (RFC 2018, section 3), 32 bits each."""

    kind = 5
    blocks: tuple[tuple[int, int], ...]

    def encode(self) -> bytes:
        """Return 2 octets and 8 for each block."""
        edges = [edge for block in self.blocks for edge in block]
        return struct.pack(f"!BB{len(edges)}I", 5, 2 + 4 * len(edges), *edges)


class Timestamps(Option, frozen=True):
    """TSval and TSecr (RFC 7323, section 3)."""

    kind = 8
    value: int
    echo: int

    def encode(self) -> bytes:
        """Return 10 octets."""
        return _TIMESTAMPS.pack(8, 10, self.value, self.echo)

    @property
    def size(self) -> int:
        """Known without encoding it: it is on every segment."""
        return 10


class UserTimeout(Option, frozen=True):
    """How long its sender lets data wait for an acknowledgment (RFC 5482, section 2).

    :param minutes: ``value``, 15 bits, is in minutes; otherwise in seconds.
    """

    kind = 28
    value: int
    minutes: bool = False

    def encode(self) -> bytes:
        """Return 4 octets."""
        return struct.pack("!BBH", 28, 4, self.minutes << 15 | self.value)

    @property
    def seconds(self) -> int:
        """The timeout; 0 means nothing."""
        return self.value * 60 if self.minutes else self.value


class FastOpen(Option, frozen=True):
    """A cookie of TCP Fast Open, or without one a request for it (RFC 7413, section 4.1.1)."""

    kind = 34
    cookie: bytes = b""

    def encode(self) -> bytes:
        """Return 2 octets and the cookie."""
        return bytes((34, 2 + len(self.cookie))) + self.cookie


_TIMESTAMPS: Final = struct.Struct("!BBII")
_ALIGNED_TIMESTAMPS: Final = b"\x01\x01\x08\x0a"

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
    """Read a cookie: 4 to 16 octets, an even number."""
    return FastOpen(data) if len(data) in _COOKIES else None


# For each kind, how the octets after kind and length are read; None: they fit no form of it.
DECODERS: Final[dict[int, Decoder]] = {
    2: lambda data: MaximumSegmentSize(int.from_bytes(data, "big")) if len(data) == 2 else None,
    3: lambda data: WindowScale(data[0]) if len(data) == 1 else None,
    4: lambda data: None if data else SackPermitted(),
    5: _sack,
    8: _timestamps,
    28: _user_timeout,
    34: _fast_open,
}


def parse_options(octets: bytes) -> tuple[Option, ...]:
    """Read the options of a header.

    An illegal length ends the list, and what was read before it counts: a segment must survive
    broken options (RFC 9293, MUST-7).
    """
    if len(octets) == 12 and octets[:4] == _ALIGNED_TIMESTAMPS:  # most segments of plain TCP
        return (Timestamps(*struct.unpack("!II", octets[4:])),)
    found: list[Option] = []
    at, end = 0, len(octets)
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
    """Write options, each padded in front so that the whole ends on a 32-bit boundary.

    :raises PacketError: they do not fit into 40 octets.
    """
    parts = []
    for option in options:
        encoded = option.encode()
        parts.append(b"\x01" * (-len(encoded) % 4) + encoded)
    whole = b"".join(parts)
    if len(whole) > MAX_LENGTH:
        whole = _tight(options)
    return whole


def _tight(options: Iterable[Option]) -> bytes:
    """Write options without padding between them: some only fit like that."""
    whole = b"".join(option.encode() for option in options)
    whole += b"\x01" * (-len(whole) % 4)
    if len(whole) > MAX_LENGTH:
        raise PacketError(f"{len(whole)} octets of options do not fit into {MAX_LENGTH}")
    return whole


def options_size(options: Iterable[Option]) -> int:
    """Return the octets that :func:`emit_options` gives."""
    tight = padded = 0
    for option in options:
        size = option.size
        tight += size
        padded += (size + 3) & ~3
    return padded if padded <= MAX_LENGTH else (tight + 3) & ~3


def find(options: Iterable[Option], kind: type[Any]) -> Any:
    """Return the first option of a class, or ``None``."""
    for option in options:
        if isinstance(option, kind):
            return option
    return None
