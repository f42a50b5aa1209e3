"""Random octets for codecs: valid ones, damaged ones, and ones that never were valid."""

from __future__ import annotations

import struct
from random import Random
from typing import Final

from testbed.packet import mptcp
from testbed.packet.address import Address
from testbed.packet.checksum import checksum, total
from testbed.packet.codec import emit
from testbed.packet.options import (
    MaximumSegmentSize,
    Option,
    Sack,
    SackPermitted,
    Timestamps,
    UnknownOption,
    UserTimeout,
    WindowScale,
)
from testbed.packet.segment import Segment

_EDGES: Final = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF)
# Lengths of options and of MPTCP options.
_LENGTHS: Final = (0, 1, 2, 3, 4, 8, 10, 12, 16, 18, 20, 24, 28, 30, 38, 40)


def number(rng: Random, bits: int) -> int:
    """Return a number of so many bits, often one at an edge."""
    if rng.random() < 0.3:
        return rng.choice(_EDGES) & ((1 << bits) - 1)
    return rng.getrandbits(bits)


def host(rng: Random, *, ipv6: bool) -> str:
    """Return an address of a family."""
    part = rng.randrange(1, 255)
    return f"fd00::{part:x}" if ipv6 else f"10.0.{rng.randrange(4)}.{part}"


def tcp_option(rng: Random) -> Option:
    """Return some option of TCP."""
    blocks = tuple((number(rng, 32), number(rng, 32)) for _ in range(rng.randrange(1, 4)))
    kind = rng.choice((0, 1, 6, 14, 27, 28, 34, 99, 253, 254, 255))
    return rng.choice(
        (
            MaximumSegmentSize(number(rng, 16)),
            WindowScale(number(rng, 8)),
            SackPermitted(),
            Sack(blocks),
            Timestamps(number(rng, 32), number(rng, 32)),
            UserTimeout(number(rng, 15), minutes=bool(kind & 1)),
            UnknownOption(kind if kind > 1 else 2 + kind, rng.randbytes(rng.randrange(12))),
        )
    )


def mptcp_option(rng: Random) -> Option:
    """Return some option of MPTCP, of any of its forms."""
    key, other, short = (number(rng, bits) for bits in (64, 64, 32))
    one = number(rng, 8)
    ipv6 = rng.random() < 0.3
    length = rng.choice((None, number(rng, 16)))
    sums = rng.choice((None, number(rng, 16)))
    return rng.choice(
        (
            mptcp.MpCapable(version=one & 15, flags=one),
            mptcp.MpCapable(version=1, flags=one, sender_key=key),
            mptcp.MpCapable(version=1, flags=one, sender_key=key, receiver_key=other),
            mptcp.MpCapable(
                version=1, flags=one, sender_key=key, receiver_key=other, data_length=short & 0xFFFF
            ),
            mptcp.MpJoinSyn(backup=bool(one & 1), address_id=one, token=short, nonce=short),
            mptcp.MpJoinSynAck(address_id=one, hmac=rng.randbytes(8), nonce=short),
            mptcp.MpJoinAck(hmac=rng.randbytes(20)),
            mptcp.Dss(data_ack=key),
            mptcp.Dss(
                data_ack=short,
                wide_ack=False,
                dsn=other,
                subflow_seq=short,
                length=0 if length is None else length,
                checksum=sums,
                data_fin=bool(one & 1),
            ),
            mptcp.AddAddr(
                address_id=one,
                address=host(rng, ipv6=ipv6),
                port=length,
                hmac=rng.choice((None, rng.randbytes(8))),
            ),
            mptcp.RemoveAddr(address_ids=tuple(rng.randbytes(rng.randrange(1, 9)))),
            mptcp.MpPrio(backup=bool(one & 1)),
            mptcp.MpFail(dsn=key),
            mptcp.MpFastclose(receiver_key=key),
            mptcp.MpTcprst(reason=one, transient=bool(one & 1)),
        )
    )


def options(rng: Random) -> tuple[Option, ...]:
    """Return options that fit into one header."""
    found: list[Option] = []
    for _ in range(rng.randrange(4)):
        option = (tcp_option if rng.random() < 0.5 else mptcp_option)(rng)
        if sum((each.size + 3) & ~3 for each in (*found, option)) <= 40:
            found.append(option)
    return tuple(found)


def segment(rng: Random) -> Segment:
    """Return any segment."""
    ipv6 = rng.random() < 0.3
    return Segment(
        source=Address(host(rng, ipv6=ipv6), number(rng, 16)),
        destination=Address(host(rng, ipv6=ipv6), number(rng, 16)),
        seq=number(rng, 32),
        ack=number(rng, 32),
        flags=number(rng, 8),
        window=number(rng, 16),
        options=options(rng),
        payload=rng.randbytes(rng.choice((0, 0, 1, 20, 100))),
        ecn=rng.randrange(4),
        urgent=number(rng, 16),
    )


def damaged(rng: Random, octets: bytes) -> bytes:
    """Return octets after some accident: flipped, cut, repeated, put together from others."""
    changed = bytearray(octets)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        if not changed:
            return rng.randbytes(rng.randrange(8))
        at = rng.randrange(len(changed))
        match rng.randrange(6):
            case 0:
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                changed[at] = rng.choice(_LENGTHS)
            case 2:
                del changed[at:]
            case 3:
                del changed[at : at + rng.randrange(1, 5)]
            case 4:
                changed[at:at] = changed[at : at + rng.randrange(1, 9)]
            case 5:
                changed[at:at] = rng.randbytes(rng.randrange(1, 5))
    return bytes(changed)


def packet(rng: Random) -> bytes:
    """Return an IP packet with TCP in it: sound, damaged, or damaged with checksums made right."""
    octets = emit(segment(rng))
    if rng.random() < 0.1:
        return octets
    octets = damaged(rng, octets)
    return octets if rng.random() < 0.2 else with_right_sums(octets)


def with_right_sums(packet: bytes) -> bytes:
    """Return a packet with its lengths and checksums made right, as far as it has such fields.

    Damage would otherwise be seen by the checksum, and reach nothing behind it.
    """
    octets = bytearray(packet)
    if len(octets) >= 40 and octets[0] >> 4 == 4:
        header = (octets[0] & 15) * 4
        if not 20 <= header <= len(octets) - 20 or len(octets) > 0xFFFF:
            return packet
        struct.pack_into("!HHH", octets, 2, len(octets), 0, 0)
        octets[9] = 6
        octets[10:12] = bytes(2)
        octets[10:12] = checksum(total(bytes(octets[:header]))).to_bytes(2, "big")
        addresses = bytes(octets[12:20])
    elif len(octets) >= 60 and octets[0] >> 4 == 6:
        header = 40
        struct.pack_into("!HB", octets, 4, len(octets) - 40, 6)
        addresses = bytes(octets[8:40])
    else:
        return packet
    octets[header + 16 : header + 18] = bytes(2)
    tcp = bytes(octets[header:])
    sums = checksum(total(addresses) + 6 + len(tcp) + total(tcp))
    octets[header + 16 : header + 18] = sums.to_bytes(2, "big")
    return bytes(octets)
