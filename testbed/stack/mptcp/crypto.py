"""Keys, tokens, initial data sequence numbers and HMACs (RFC 8684, sections 3.1, 3.2 and 3.4.1).

All of them are computed from keys in network byte order with SHA-256, the only algorithm of version
1.
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
    """Return a key that can be computed again, for a SYN that leaves no state (section 3.1).

    :param secret: a secret of this host.
    :param seq: the sequence number of the SYN.
    """
    text = f"{flow.local} {flow.remote} {seq}".encode()
    digest = hashlib.blake2s(text, digest_size=_KEY, key=secret[:32], person=b"mptcpkey")
    return int.from_bytes(digest.digest(), "big")


def initial_dsn(key: int) -> int:
    """Return the initial data sequence number: the rightmost 64 bits of the hash (section 3.1)."""
    return int.from_bytes(_hash(key)[-8:], "big")


def join_hmac(sender_key: int, receiver_key: int, sender_nonce: int, receiver_nonce: int) -> bytes:
    """Return the untruncated HMAC of a join (section 3.2).

    The HMAC's key is the sender's key followed by the receiver's. Its message is the sender's
    random number followed by the receiver's. So one function computes the HMACs of both sides.
    """
    message = sender_nonce.to_bytes(4, "big") + receiver_nonce.to_bytes(4, "big")
    return _hmac(sender_key, receiver_key, message)


def syn_ack_hmac(whole: bytes) -> bytes:
    """Return the truncated HMAC of a SYN/ACK: the leftmost 64 bits (section 3.2)."""
    return whole[:8]


def ack_hmac(whole: bytes) -> bytes:
    """Return the truncated HMAC of the third ACK: the leftmost 160 bits (section 3.2)."""
    return whole[:_JOIN_ACK]


def add_addr_hmac(
    sender_key: int, receiver_key: int, address_id: int, address: str, port: int | None
) -> bytes:
    """Return the HMAC of an ADD_ADDR: the rightmost 64 bits (section 3.4.1).

    Without an announced port, the port is 0.
    """
    message = bytes((address_id,)) + pack(address) + (port or 0).to_bytes(2, "big")
    return _hmac(sender_key, receiver_key, message)[-8:]


def same(a: bytes, b: bytes) -> bool:
    """Compare two HMACs in constant time."""
    return hmac.compare_digest(a, b)


def _hash(key: int) -> bytes:
    return hashlib.sha256(key.to_bytes(_KEY, "big")).digest()


def _hmac(sender_key: int, receiver_key: int, message: bytes) -> bytes:
    keys = sender_key.to_bytes(_KEY, "big") + receiver_key.to_bytes(_KEY, "big")
    return hmac.digest(keys, message, "sha256")
