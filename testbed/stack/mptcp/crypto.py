"""Keys, tokens, initial data sequence numbers and HMACs (RFC 8684, sections 3.1, 3.2 and 3.4.1).

Tokens, numbers and HMACs are made of keys in network byte order with SHA-256, the one algorithm of
version 1.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from testbed.packet.address import Flow, pack

_KEY: Final = 8  # octets
_JOIN_ACK: Final = 20  # octets of an HMAC that fit into the third ACK of a join


def token(key: int) -> int:
    """Return the token of a key: the leftmost 32 bits of its hash (section 3.2)."""
    return int.from_bytes(_hash(key)[:4], "big")


def stateless_key(secret: bytes, flow: Flow, seq: int) -> int:
    """Return the key for a SYN of which nothing is kept: it can be made again (section 3.1).

    :param secret: no other host knows it.
    :param seq: the SYN's sequence number.
    """
    text = f"{flow.local} {flow.remote} {seq}".encode()
    digest = hashlib.blake2s(text, digest_size=_KEY, key=secret[:32], person=b"mptcpkey")
    return int.from_bytes(digest.digest(), "big")


def initial_dsn(key: int) -> int:
    """Return the initial data sequence number: the rightmost 64 bits of the hash (section 3.1)."""
    return int.from_bytes(_hash(key)[-8:], "big")


def join_hmac(sender_key: int, receiver_key: int, sender_nonce: int, receiver_nonce: int) -> bytes:
    """Return the whole HMAC of a host that joins or answers a join (section 3.2).

    The key is the sender's key and the receiver's, the message the two random numbers, each time
    in that order; so the same function makes both HMACs of a join.
    """
    message = sender_nonce.to_bytes(4, "big") + receiver_nonce.to_bytes(4, "big")
    return _hmac(sender_key, receiver_key, message)


def syn_ack_hmac(whole: bytes) -> bytes:
    """Return what of an HMAC goes into a SYN/ACK: the leftmost 64 bits (section 3.2)."""
    return whole[:8]


def ack_hmac(whole: bytes) -> bytes:
    """Return what of an HMAC goes into the third ACK: the leftmost 160 bits (section 3.2)."""
    return whole[:_JOIN_ACK]


def add_addr_hmac(
    sender_key: int, receiver_key: int, address_id: int, address: str, port: int | None
) -> bytes:
    """Return the HMAC of an ADD_ADDR: the rightmost 64 bits (section 3.4.1).

    A port that is not announced counts as 0.
    """
    message = bytes((address_id,)) + pack(address) + (port or 0).to_bytes(2, "big")
    return _hmac(sender_key, receiver_key, message)[-8:]


def same(a: bytes, b: bytes) -> bool:
    """Compare two HMACs in a time that does not tell how alike they are."""
    return hmac.compare_digest(a, b)


def _hash(key: int) -> bytes:
    return hashlib.sha256(key.to_bytes(_KEY, "big")).digest()


def _hmac(sender_key: int, receiver_key: int, message: bytes) -> bytes:
    keys = sender_key.to_bytes(_KEY, "big") + receiver_key.to_bytes(_KEY, "big")
    return hmac.digest(keys, message, "sha256")
