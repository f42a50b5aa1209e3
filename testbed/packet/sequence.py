"""Wrapping sequence numbers (RFC 9293, section 3.4; RFC 8684, section 3.3.1).

Inside the stack a position in a stream is a plain integer that never wraps. This module converts
the 32 or 64 bits of the wire to positions.
"""

from __future__ import annotations

from typing import Final

BITS_32: Final = 0xFFFF_FFFF
BITS_64: Final = 0xFFFF_FFFF_FFFF_FFFF


def expand(value: int, near: int) -> int:
    """Return the position closest to ``near`` whose lowest 32 bits are ``value``."""
    difference = (value - near) & BITS_32
    return near + (difference if difference < 0x8000_0000 else difference - 0x1_0000_0000)


def expand_64(value: int, near: int) -> int:
    """Return the position closest to ``near`` whose lowest 64 bits are ``value``."""
    difference = (value - near) & BITS_64
    return near + (difference if difference < 1 << 63 else difference - (1 << 64))
