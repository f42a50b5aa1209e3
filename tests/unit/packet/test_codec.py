"""IP and TCP headers: checksums, what is refused, and cutting large segments."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.errors import PacketError
from testbed.packet.address import Address
from testbed.packet.checksum import checksum, total
from testbed.packet.codec import emit, header_length, parse, split
from testbed.packet.options import Timestamps
from testbed.packet.segment import ACK, CE, CWR, ECE, ECT_0, FIN, PSH, SYN, URG, Segment
from tests import segments

V4 = Segment(
    source=Address("192.0.2.1", 40000),
    destination=Address("198.51.100.2", 80),
    seq=0xFFFF_FFF0,
    ack=0x01020304,
    flags=ACK | PSH,
    window=0x1234,
    payload=b"hello",
)
V6 = msgspec.structs.replace(
    V4, source=Address("2001:db8::1", 40000), destination=Address("2001:db8::2", 80)
)


def changed(packet: bytes, at: int, value: int) -> bytes:
    return packet[:at] + bytes((value,)) + packet[at + 1 :]


def with_ipv4_checksum(packet: bytes) -> bytes:
    """Return an IPv4 packet with the header checksum of its (changed) header."""
    size = (packet[0] & 0x0F) * 4
    header = packet[:10] + b"\0\0" + packet[12:size]
    return header[:10] + checksum(total(header)).to_bytes(2, "big") + packet[12:]


@pytest.mark.requirement("RFC 9293", "MUST-2", "MAY-4")
def test_ipv4_octet_by_octet() -> None:
    packet = emit(msgspec.structs.replace(V4, ecn=ECT_0))
    # DF is set, and the identification then means nothing (RFC 6864).
    assert packet == bytes.fromhex(
        "4502002d 00004000 40064e92 c0000201 c6336402"
        "9c400050 fffffff0 01020304 50181234 cd020000 68656c6c6f"
    )


def test_ipv6_octet_by_octet() -> None:
    packet = emit(msgspec.structs.replace(V6, ecn=CE))
    assert packet[:40].hex(" ", 8) == (
        "6030000000190640 20010db800000000 0000000000000001 20010db800000000 0000000000000002"
    )
    assert header_length(V6) == 60


@pytest.mark.requirement("RFC 9293", "MUST-3")
@settings(max_examples=300)
@given(segments.segments().filter(lambda segment: ":" not in segment.source.host), st.data())
def test_a_flipped_bit_is_noticed_wherever_it_is(segment: Segment, data: st.DataObject) -> None:
    packet = emit(segment)
    at = data.draw(st.integers(0, len(packet) * 8 - 1))
    damaged = changed(packet, at // 8, packet[at // 8] ^ 1 << at % 8)
    with pytest.raises(PacketError):
        parse(damaged)


@given(segments.segments())
def test_a_checksum_left_to_the_kernel_comes_out_the_same(segment: Segment) -> None:
    unfinished = emit(segment, partial_checksum=True)
    start = 40 if ":" in segment.source.host else 20
    sum_ = checksum(total(unfinished[start:]))
    finished = unfinished[: start + 16] + sum_.to_bytes(2, "big") + unfinished[start + 18 :]
    assert finished == emit(segment)
    assert parse(unfinished, verify=False) == segment


@pytest.mark.requirement("RFC 9293", "MUST-2")
def test_an_odd_payload_is_summed_as_if_a_zero_followed() -> None:
    odd = msgspec.structs.replace(V4, payload=b"abc")
    packet = emit(odd)
    pseudo = packet[12:20] + bytes((0, 6)) + (len(packet) - 20).to_bytes(2, "big")
    assert total(pseudo + packet[20:] + b"\0") == 0


@pytest.mark.requirement("RFC 9293", "MUST-50")
def test_options_of_ip_are_skipped() -> None:
    packet = emit(V4)
    longer = bytes((0x46,)) + packet[1:20] + bytes((1, 1, 1, 0)) + packet[20:]
    longer = longer[:2] + len(longer).to_bytes(2, "big") + longer[4:]
    assert parse(with_ipv4_checksum(longer)) == V4


def extended(*headers: tuple[int, bytes], last: int = 6) -> bytes:
    """Return the packet of V6 with extension headers, each with its kind and its other octets."""
    packet = emit(V6)
    kinds = [kind for kind, _ in headers] + [last]
    added = b"".join(bytes((kinds[index + 1],)) + rest for index, (_, rest) in enumerate(headers))
    length = (len(packet) - 40 + len(added)).to_bytes(2, "big")
    return packet[:4] + length + bytes((kinds[0],)) + packet[7:40] + added + packet[40:]


PADDING = bytes((0, 1, 4, 0, 0, 0, 0))
PAD_1 = bytes(7)
UNKNOWN = bytes((0, 0x1E, 4, 0, 0, 0, 0))  # to be skipped


@pytest.mark.requirement("RFC 9293", "MUST-50")
@pytest.mark.parametrize("headers", [
    [],
    [(0, PADDING)],
    [(60, PAD_1)],
    [(0, PADDING), (60, UNKNOWN), (43, bytes((0, 0, 0, 0, 0, 0, 0))), (60, PADDING)],
    [(60, bytes((1, 1, 12)) + bytes(12))],  # 16 octets
    [(44, bytes((0, 0, 0, 1, 2, 3, 4)))],  # a fragment that is whole
])  # fmt: skip
def test_extension_headers_are_skipped(headers: list[tuple[int, bytes]]) -> None:
    """RFC 8200, section 4."""
    assert parse(extended(*headers)) == V6
    assert parse(memoryview(extended(*headers) + b"padding of Ethernet")) == V6


@pytest.mark.parametrize(("headers", "last", "why"), [
    ([(44, bytes((0, 0, 1, 1, 2, 3, 4)))], 6, "fragment"),  # more fragments
    ([(44, bytes((0, 0, 8, 1, 2, 3, 4)))], 6, "fragment"),  # not the first
    ([(43, bytes((0, 0, 1, 0, 0, 0, 0)))], 6, "1 segments left"),
    ([(60, bytes((0, 0x41, 4, 0, 0, 0, 0)))], 6, "option 65"),
    ([(60, PADDING), (0, PADDING)], 6, "not the first"),
    ([(0, PADDING)], 17, "next header is 17"),
    ([], 58, "next header is 58"),
    ([(60, bytes((9, 1, 4, 0, 0, 0, 0)))], 6, "ends in its"),
    ([(60, bytes((255, 1, 4, 0, 0, 0, 0)))], 6, "ends in its"),
])  # fmt: skip
def test_packets_that_a_host_discards(
    headers: list[tuple[int, bytes]], last: int, why: str
) -> None:
    """RFC 8200, sections 4.1, 4.2, 4.4 and 4.5."""
    with pytest.raises(PacketError, match=why):
        parse(extended(*headers, last=last))


@given(st.binary(max_size=64), st.sampled_from([0, 43, 44, 60]))
def test_extension_headers_of_any_octets_are_read(octets: bytes, kind: int) -> None:
    packet = emit(V6)
    length = len(octets).to_bytes(2, "big")
    with pytest.raises(PacketError):
        parse(packet[:4] + length + bytes((kind,)) + packet[7:40] + octets)


@pytest.mark.parametrize(
    ("at", "value", "why"),
    [
        (0, 0x55, "version 5"),
        (0, 0x44, "16 of"),  # a header shorter than the shortest
        (3, 255, "20 of 255"),  # a length beyond the end
        (3, 19, "20 of 19"),
        (3, 30, "no whole TCP segment"),
        (6, 0x20, "fragment"),  # more fragments
        (7, 0x01, "fragment"),  # a fragment that is not the first
        (9, 17, "not TCP"),
        (12, 0x00, "IPv4 header checksum"),
        (32, 0x40, "TCP header of 16"),
        (32, 0xF0, "TCP header of 60"),
        (36, 0xFF, "TCP checksum"),
    ],
)
def test_a_broken_ipv4_packet_is_refused(at: int, value: int, why: str) -> None:
    packet = changed(emit(V4), at, value)
    if at not in (0, 12):
        packet = with_ipv4_checksum(packet)
    with pytest.raises(PacketError, match=why):
        parse(packet)


@pytest.mark.parametrize(
    ("at", "value", "why"), [(5, 0xFF, "says 255"), (6, 58, "is 58"), (8, 0x21, "TCP checksum")]
)
def test_a_broken_ipv6_packet_is_refused(at: int, value: int, why: str) -> None:
    with pytest.raises(PacketError, match=why):
        parse(changed(emit(V6), at, value))


def test_what_does_not_fit_or_match_is_not_emitted() -> None:
    longest = msgspec.structs.replace(V4, payload=bytes(0xFFFF - 40))
    assert parse(emit(longest)) == longest
    longest = msgspec.structs.replace(V6, payload=bytes(0xFFFF - 20))
    assert parse(emit(longest)) == longest
    for segment, most in ((V4, 0xFFFF - 40), (V6, 0xFFFF - 20)):
        with pytest.raises(PacketError, match="do not fit"):
            emit(msgspec.structs.replace(segment, payload=bytes(most + 1)))
    with pytest.raises(PacketError, match="one address is IPv4 and the other IPv6"):
        emit(msgspec.structs.replace(V4, destination=V6.destination))


def test_reserved_bits_of_the_header_are_ignored() -> None:
    packet = emit(V4)
    packet = changed(packet, 32, packet[32] | 0x0F)
    assert parse(packet, verify=False) == V4


@given(st.integers(1, 40), st.binary(min_size=1, max_size=100), segments.u32)
def test_pieces_of_a_large_segment_carry_it_whole(size: int, payload: bytes, seq: int) -> None:
    flags = CWR | ECE | URG | ACK | PSH | FIN
    whole = msgspec.structs.replace(
        V4, seq=seq, payload=payload, gso_size=size, flags=flags, options=(Timestamps(1, 2),)
    )
    pieces = list(split(whole))
    assert b"".join(piece.payload for piece in pieces) == payload
    assert {len(piece.payload) for piece in pieces[:-1]} <= {size}
    assert all(0 < len(piece.payload) <= size and not piece.gso_size for piece in pieces)
    assert sum(piece.length for piece in pieces) == whole.length
    position = seq
    for piece in pieces:
        assert piece.seq == position & 0xFFFF_FFFF
        assert piece.options == whole.options
        assert piece.flags & (ECE | URG | ACK) == ECE | URG | ACK
        position += len(piece.payload)
    assert [bool(piece.flags & CWR) for piece in pieces] == [True] + [False] * (len(pieces) - 1)
    for last in (PSH, FIN):
        assert pieces[-1].flags & last
        assert not any(piece.flags & last for piece in pieces[:-1])


@pytest.mark.parametrize("size", [0, 5, 1000])
def test_a_segment_that_needs_no_cutting_stays_one(size: int) -> None:
    (piece,) = split(msgspec.structs.replace(V4, gso_size=size))
    assert piece == V4


def test_how_a_packet_was_put_together_is_kept() -> None:
    assert parse(emit(V4), gso_size=3) == msgspec.structs.replace(V4, gso_size=3)


def test_syn_and_fin_take_sequence_space() -> None:
    assert V4.length == 5
    assert msgspec.structs.replace(V4, flags=SYN | FIN).length == 7


def test_segments_print_as_tcpdump_prints_them() -> None:
    syn = msgspec.structs.replace(V6, flags=SYN | ECE | CWR, payload=b"", ack=0)
    assert str(syn) == (
        "[2001:db8::1]:40000 > [2001:db8::2]:80 [SEW] seq 4294967280 ack 0 win 4660 len 0"
    )
    assert str(V4).split(" [")[1].startswith("P.] seq 4294967280 ack 16909060 win 4660 len 5")
    assert " [none] " in str(msgspec.structs.replace(V4, flags=0))
