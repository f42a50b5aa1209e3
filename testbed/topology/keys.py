"""WireGuard keys: X25519 (RFC 7748), and private keys derived from a seed. Pure.

These keys protect no secrets: anyone with the topology and its seed can compute them. They make
runs repeatable and do not need the program ``wg``.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

_P: Final = 2**255 - 19
_A24: Final = 121_665  # (486662 - 2) / 4
_BASE: Final = (9).to_bytes(32, "little")
SIZE: Final = 32  # octets


def private_key(seed: int, tunnel: str, node: str) -> str:
    """Return the private key of a node's end of a tunnel, in base64 as in wg(8)."""
    octets = bytearray(hashlib.sha256(f"wireguard {seed} {tunnel} {node}".encode()).digest())
    octets[0] &= 248  # RFC 7748, section 5: decodeScalar25519
    octets[31] = octets[31] & 127 | 64
    return base64.b64encode(octets).decode()


def public_key(private: str) -> str:
    """Return the public key of a private key, both in base64."""
    return base64.b64encode(x25519(base64.b64decode(private), _BASE)).decode()


def x25519(scalar: bytes, point: bytes) -> bytes:
    """Return the function X25519 of RFC 7748, section 5, by the Montgomery ladder there.

    :param scalar: 32 octets.
    :param point: a u-coordinate of 32 octets.
    """
    k = bytearray(scalar)
    k[0] &= 248
    k[31] = k[31] & 127 | 64
    number = int.from_bytes(k, "little")
    x1 = int.from_bytes(point, "little") & (1 << 255) - 1
    x2, z2, x3, z3 = 1, 0, x1, 1
    for bit in range(254, -1, -1):
        swap = number >> bit & 1
        if swap:
            x2, x3, z2, z3 = x3, x2, z3, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % _P, b * b % _P, d * a % _P, c * b % _P
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % _P, x1 * (da - cb) ** 2 % _P
        x2, z2 = aa * bb % _P, e * (aa + _A24 * e) % _P
        if swap:
            x2, x3, z2, z3 = x3, x2, z3, z2
    return (x2 * pow(z2, _P - 2, _P) % _P).to_bytes(SIZE, "little")
