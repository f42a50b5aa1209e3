"""Keys, tokens, IDSNs and HMACs of a captured connection, each proved by what was on the wire.

Nothing of the stack's own cryptography is used: this is the other computation it is compared with.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import struct
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from testbed.packet.mptcp import AddAddr, Dss, MpCapable, MpJoinAck, MpJoinSyn, MpJoinSynAck
from testbed.packet.options import Option, find
from testbed.packet.segment import Segment

T = TypeVar("T", bound=Option)


def handshake(segments: Sequence[Segment]) -> dict[str, Any]:
    """Return the numbers of the connection that ``segments`` begin with, octets in hexadecimal.

    A is the client.  :raises AssertionError: what was sent is not what the keys give.
    """
    first = segments[0]
    keys = next(
        option for _, option in carrying(segments, MpCapable) if option.receiver_key is not None
    )
    assert keys.sender_key is not None
    assert keys.receiver_key is not None
    key_a, key_b = keys.sender_key.to_bytes(8, "big"), keys.receiver_key.to_bytes(8, "big")
    idsn = {"a": sha256(key_a)[-8:], "b": sha256(key_b)[-8:]}
    check_data_sequence(segments, first, idsn)
    return {
        "checksum_required": bool(keys.flags & 0x80),
        "key_a": key_a.hex(),
        "key_b": key_b.hex(),
        "token_a": sha256(key_a)[:4].hex(),
        "token_b": sha256(key_b)[:4].hex(),
        "idsn_a": idsn["a"].hex(),
        "idsn_b": idsn["b"].hex(),
        "joins": list(joins(segments, key_a, key_b)),
        "add_addrs": list(add_addrs(segments, first, key_a, key_b)),
        "mappings": list(mappings(segments, idsn["a"])),
    }


def sha256(octets: bytes) -> bytes:
    """Return the digest tokens and IDSNs are taken from (RFC 8684, section 3.1)."""
    return hashlib.sha256(octets).digest()


def carrying(segments: Iterable[Segment], kind: type[T]) -> list[tuple[Segment, T]]:
    """Return the segments with an option of a class, and that option."""
    return [
        (segment, option)
        for segment in segments
        if (option := find(segment.options, kind)) is not None
    ]


def check_data_sequence(
    segments: Sequence[Segment], first: Segment, idsn: dict[str, bytes]
) -> None:
    """Each host's first mapping by DSS is among the first octets after its IDSN."""
    for name, host in (("a", first.source), ("b", first.destination)):
        own = [dss.dsn for segment, dss in carrying(segments, Dss) if segment.source == host]
        dsn = next((dsn for dsn in own if dsn is not None), None)
        if dsn is not None:
            assert (dsn - int.from_bytes(idsn[name], "big")) % 2**64 < 1000


def joins(segments: Sequence[Segment], key_a: bytes, key_b: bytes) -> Iterable[dict[str, Any]]:
    """Return nonces and HMACs of each completed join (section 3.2)."""
    for syn, asked in carrying(segments, MpJoinSyn):
        flow = (syn.source, syn.destination)
        answers = [
            option
            for segment, option in carrying(segments, MpJoinSynAck)
            if (segment.destination, segment.source) == flow
        ]
        acks = [
            option
            for segment, option in carrying(segments, MpJoinAck)
            if (segment.source, segment.destination) == flow
        ]
        if not answers or not acks:
            continue
        # The token identifies the host that is joined, so that host's key is the receiver's.
        if asked.token.to_bytes(4, "big") == sha256(key_b)[:4]:
            initiator, responder = key_a, key_b
        else:
            assert asked.token.to_bytes(4, "big") == sha256(key_a)[:4]
            initiator, responder = key_b, key_a
        nonce_i, nonce_r = (nonce.to_bytes(4, "big") for nonce in (asked.nonce, answers[0].nonce))
        of_syn_ack = hmac.digest(responder + initiator, nonce_r + nonce_i, "sha256")
        of_ack = hmac.digest(initiator + responder, nonce_i + nonce_r, "sha256")
        assert of_syn_ack[:8] == answers[0].hmac
        assert of_ack[:20] == acks[0].hmac
        yield {
            "initiator": "a" if initiator == key_a else "b",
            "token": asked.token.to_bytes(4, "big").hex(),
            "nonce_initiator": nonce_i.hex(),
            "nonce_responder": nonce_r.hex(),
            "hmac_syn_ack": answers[0].hmac.hex(),
            "hmac_ack": acks[0].hmac.hex(),
        }


def add_addrs(
    segments: Sequence[Segment], first: Segment, key_a: bytes, key_b: bytes
) -> Iterable[dict[str, Any]]:
    """Return what each ADD_ADDR announces and its HMAC (section 3.4.1)."""
    for segment, option in carrying(segments, AddAddr):
        if option.hmac is None:
            continue
        by_a = segment.source == first.source
        sender, receiver = (key_a, key_b) if by_a else (key_b, key_a)
        address = ipaddress.ip_address(option.address).packed
        port = (option.port or 0).to_bytes(2, "big")
        message = bytes((option.address_id,)) + address + port
        assert hmac.digest(sender + receiver, message, "sha256")[-8:] == option.hmac
        yield {
            "sender": "a" if by_a else "b",
            "address_id": option.address_id,
            "address": option.address,
            "port": option.port,
            "hmac": option.hmac.hex(),
        }


def mappings(segments: Iterable[Segment], idsn_a: bytes) -> Iterable[dict[str, Any]]:
    """Return each mapping with a checksum and the data it covers (section 3.3.1)."""
    after_idsn = (int.from_bytes(idsn_a, "big") + 1) % 2**64
    for segment in segments:
        mapping = find(segment.options, Dss) or find(segment.options, MpCapable)
        if mapping is None or mapping.checksum is None:
            continue
        if isinstance(mapping, Dss):
            dsn, subflow_seq, length = mapping.dsn, mapping.subflow_seq, mapping.length
        else:
            dsn, subflow_seq, length = after_idsn, 1, mapping.data_length
        words = struct.pack("!QIHH", dsn, subflow_seq, length, mapping.checksum) + segment.payload
        if length:  # an infinite mapping has no checksum to check
            assert ones_complement_sum(words) == 0xFFFF
        yield {
            "dsn": f"{dsn:016x}",
            "subflow_seq": subflow_seq,
            "length": length,
            "checksum": f"{mapping.checksum:04x}",
            "payload": segment.payload.hex(),
        }


def ones_complement_sum(octets: bytes) -> int:
    """Add 16-bit words up with end-around carry (RFC 1071)."""
    padded = octets + bytes(len(octets) % 2)
    added: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while added > 0xFFFF:
        added = (added & 0xFFFF) + (added >> 16)
    return added
