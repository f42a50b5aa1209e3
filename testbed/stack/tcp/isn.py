"""Initial sequence numbers (RFC 6528) and timestamp offsets (RFC 7323, section 7.1)."""

from __future__ import annotations

import hashlib
from typing import Final

from testbed.packet.address import Flow
from testbed.packet.sequence import BITS_32

_TICK_NS: Final = 4_000  # RFC 6528, section 3: M is a timer of 4 microseconds


def initial_sequence_number(flow: Flow, secret: bytes, now: int) -> int:
    """Return ISN = M + F(localip, localport, remoteip, remoteport, secretkey)."""
    return (now // _TICK_NS + _hash(flow, secret, b"isn")) & BITS_32


def timestamp_offset(flow: Flow, secret: bytes) -> int:
    """Return the offset of a connection's timestamp clock, which hides the uptime."""
    return _hash(flow, secret, b"timestamp")


def _hash(flow: Flow, secret: bytes, purpose: bytes) -> int:
    text = f"{flow.local} {flow.remote}".encode()
    digest = hashlib.blake2s(text, digest_size=4, key=secret[:32], person=purpose[:8])
    return int.from_bytes(digest.digest(), "big")
