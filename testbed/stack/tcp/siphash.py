"""SipHash-2-4: a keyed function of short inputs (J.-P. Aumasson and D. J. Bernstein, 2012)."""

from __future__ import annotations

import struct
from typing import Final

KEY: Final = 16  # octets
_MASK: Final = (1 << 64) - 1
_BEGINNING: Final = (
    0x736F6D6570736575,
    0x646F72616E646F6D,
    0x6C7967656E657261,
    0x7465646279746573,
)


def siphash(key: bytes, data: bytes) -> bytes:
    """Return 8 octets, in little-endian order.

    :param key: 16 octets.
    """
    low, high = struct.unpack("<QQ", key)
    a, b, c, d = _BEGINNING
    state = (a ^ low, b ^ high, c ^ low, d ^ high)
    padded = data + bytes(7 - len(data) % 8) + bytes((len(data) % 256,))
    for (word,) in struct.iter_unpack("<Q", padded):
        a, b, c, d = state
        a, b, c, d = _rounds((a, b, c, d ^ word), 2)
        state = (a ^ word, b, c, d)
    a, b, c, d = state
    a, b, c, d = _rounds((a, b, c ^ 0xFF, d), 4)
    return (a ^ b ^ c ^ d).to_bytes(8, "little")


def _rounds(state: tuple[int, int, int, int], count: int) -> tuple[int, int, int, int]:
    a, b, c, d = state
    for _ in range(count):
        a = (a + b) & _MASK
        c = (c + d) & _MASK
        b = _rotated(b, 13) ^ a
        d = _rotated(d, 16) ^ c
        a = (_rotated(a, 32) + d) & _MASK
        c = (c + b) & _MASK
        b = _rotated(b, 17) ^ c
        d = _rotated(d, 21) ^ a
        c = _rotated(c, 32)
    return a, b, c, d


def _rotated(word: int, bits: int) -> int:
    return (word << bits | word >> (64 - bits)) & _MASK
