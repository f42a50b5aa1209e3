"""TCP options (RFC 9293, section 3.1; RFC 7323; RFC 2018; RFC 5482; RFC 7413).

``mptcp.py`` has those of MPTCP.

``option_list.py`` parses and encodes the options of a header.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, ClassVar, Final

import msgspec

MAX_LENGTH: Final = 40  # octets of options in one segment

_TIMESTAMPS: Final = struct.Struct("!BBII")


class Option(msgspec.Struct, frozen=True, gc=False):
    """The base class of options. ``encode`` returns the whole option with kind and length.

    They refer to nothing that could refer to them: the garbage collector need not look at them.
    """

    kind: ClassVar[int]

    def encode(self) -> bytes:
        """Return the octets of the option."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """The size of the encoded option in octets."""
        return len(self.encode())


class UnknownOption(Option, frozen=True):
    """An option of an unknown kind or with an invalid length."""

    number: int
    data: bytes

    def encode(self) -> bytes:
        """Return the received octets."""
        return bytes((self.number, 2 + len(self.data))) + self.data


class MaximumSegmentSize(Option, frozen=True):
    """The MSS: the most payload and options that its sender accepts (RFC 9293, section 3.7.1)."""

    kind = 2
    mss: int

    def encode(self) -> bytes:
        """Return 4 octets."""
        return struct.pack("!BBH", 2, 4, self.mss)


class WindowScale(Option, frozen=True):
    """The number of bits by which its sender's windows are shifted (RFC 7323, section 2)."""

    kind = 3
    shift: int

    def encode(self) -> bytes:
        """Return 3 octets."""
        return bytes((3, 3, self.shift))


class SackPermitted(Option, frozen=True):
    """Its sender accepts SACK options (RFC 2018, section 2)."""

    kind = 4

    def encode(self) -> bytes:
        """Return 2 octets."""
        return b"\x04\x02"


class Sack(Option, frozen=True):
    """Received blocks: left edge and right edge of 32 bits each (RFC 2018, section 3)."""

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
        """The size in octets, computed without encoding, as each segment needs it."""
        return 10


class UserTimeout(Option, frozen=True):
    """The user timeout of its sender (RFC 5482, section 2).

    :param minutes: whether ``value``, of 15 bits, is in minutes instead of seconds.
    """

    kind = 28
    value: int
    minutes: bool = False

    def encode(self) -> bytes:
        """Return 4 octets."""
        return struct.pack("!BBH", 28, 4, self.minutes << 15 | self.value)

    @property
    def seconds(self) -> int:
        """The timeout in seconds; 0 has no meaning."""
        return self.value * 60 if self.minutes else self.value


class FastOpen(Option, frozen=True):
    """A cookie of TCP Fast Open; an empty one is a request (RFC 7413, section 4.1.1)."""

    kind = 34
    cookie: bytes = b""

    def encode(self) -> bytes:
        """Return 2 octets and the cookie."""
        return bytes((34, 2 + len(self.cookie))) + self.cookie


def find(options: Iterable[Option], kind: type[Any]) -> Any:
    """Return the first option of a class, or ``None``."""
    for option in options:
        if isinstance(option, kind):
            return option
    return None
