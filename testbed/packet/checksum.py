"""The Internet checksum (RFC 1071), also that of DSS (RFC 8684, section 3.3.1)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

Octets = bytes | bytearray | memoryview

_MODULUS: Final = 0xFFFF
_SHORT: Final = 64  # octets


def total(octets: Octets) -> int:
    """Return the ones' complement sum of 16-bit words, modulo 0xFFFF, not complemented.

    An odd last octet is padded by a zero octet. Sums of even-sized parts may be added.
    """
    if _COMPILED and len(octets) > _SHORT:
        return _added(bytes(octets)) % _MODULUS
    number = int.from_bytes(octets, "big")  # one pass in C: 2**16 is 1 modulo 0xFFFF
    return (number << 8 if len(octets) & 1 else number) % _MODULUS


def _added(octets: bytes) -> int:
    """Return the sum of 16-bit words: faster than division once it is compiled."""
    sum_: i64 = 0
    size: i64 = len(octets)
    at: i64 = 1
    while at < size:
        sum_ += (octets[at - 1] << 8) + octets[at]
        at += 2
    return sum_ + (octets[size - 1] << 8) if size & 1 else sum_


_COMPILED: Final = not hasattr(_added, "__code__")


def checksum(sum_: int) -> int:
    """Return the checksum of data whose parts have this sum.

    Ones' complement has two zeros. This function returns 0, which is right for data with a set bit,
    as each header here has. A receiver adds the checksum to the sum, and does not compare it.
    """
    return -sum_ % _MODULUS
