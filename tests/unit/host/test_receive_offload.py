"""Merging packets as they come in: what was merged can be cut into the same segments again."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import PacketError
from testbed.host.devices.gro import MOST, Merger
from testbed.host.devices.received import Received
from testbed.packet.address import Address
from testbed.packet.codec import emit, split
from testbed.packet.options import Timestamps
from testbed.packet.segment import ACK, CE, CWR, ECE, FIN, PSH, RST, SYN, URG, Segment

A, B, C = Address("10.0.0.1", 1), Address("10.0.0.2", 2), Address("10.0.0.3", 3)
STAMPS = (Timestamps(1, 2),)


def merge(segments):
    """Return what becomes of segments that come as the packets of one batch."""
    merger = Merger()
    for each in segments:
        merger.take(received(emit(each), each.gso_size))
    return merger.segments()


def received(packet, gso_size=0, *, verified=False):
    return Received(memoryview(packet), verified, gso_size)


def segment(seq, size=100, **fields):
    payload = bytes((seq + index) % 251 for index in range(size))
    return Segment(
        **{
            "source": A,
            "destination": B,
            "seq": seq & 0xFFFF_FFFF,
            "ack": 7,
            "flags": ACK,
            "window": 9,
            "options": STAMPS,
            "payload": payload,
        }
        | fields
    )


def test_segments_in_order_become_one():
    pieces = [segment(0), segment(100), segment(200, 50, flags=ACK | PSH)]
    (whole,) = merge(pieces)
    assert whole.payload == b"".join(piece.payload for piece in pieces)
    assert whole.gso_size == 100
    assert whole.flags == ACK | PSH
    assert list(split(whole)) == pieces


def test_sequence_numbers_wrap():
    pieces = [segment(-100), segment(0), segment(100)]
    (whole,) = merge(pieces)
    assert list(split(whole)) == pieces


@pytest.mark.parametrize(
    "second",
    [
        segment(101),
        segment(0),
        segment(100, 101),
        segment(100, 0),
        segment(100, ack=8),
        segment(100, window=8),
        segment(100, ecn=CE),
        segment(100, options=(Timestamps(2, 2),)),
        segment(100, options=()),
        segment(100, flags=ACK | CWR),
        segment(100, flags=ACK | ECE),
        segment(100, flags=ACK | RST),
        segment(100, flags=ACK | URG, urgent=3),
        segment(100, flags=ACK | SYN),
        segment(100, gso_size=50),
    ],
)
def test_what_differs_stays_apart(second):
    first = segment(0)
    assert merge([first, second]) == [first, second]


@pytest.mark.parametrize("flags", [ACK | PSH, ACK | FIN, ACK | RST, ACK | URG])
def test_nothing_follows_the_end_of_a_run(flags):
    pieces = [segment(0, flags=flags), segment(100, flags=flags)]
    assert merge(pieces) == pieces


def test_nothing_follows_a_shorter_piece():
    pieces = [segment(0), segment(100, 60), segment(160, 60)]
    assert [len(each.payload) for each in merge(pieces)] == [160, 60]


def test_congestion_window_reduced_stays_on_the_first_piece():
    pieces = [segment(0, flags=ACK | CWR), segment(100)]
    (whole,) = merge(pieces)
    assert list(split(whole)) == pieces


def test_flows_that_take_turns_are_merged_each():
    ours = [segment(0), segment(100)]
    others = [segment(0, source=C), segment(100, source=C)]
    merged = merge([ours[0], others[0], ours[1], others[1]])
    assert [list(split(each)) for each in merged] == [ours, others]


def test_a_merged_segment_fits_into_a_packet():
    pieces = [segment(at, 1448) for at in range(0, 100 * 1448, 1448)]
    merged = merge(pieces)
    assert all(len(each.payload) <= MOST for each in merged)
    assert len(merged) == 3
    assert [piece for each in merged for piece in split(each)] == pieces


V6 = (Address("2001:db8::1", 1), Address("2001:db8::2", 2))


def test_packets_of_ipv6_are_merged():
    pieces = [segment(at, source=V6[0], destination=V6[1]) for at in (0, 100, 200)]
    (whole,) = merge(pieces)
    assert list(split(whole)) == pieces


@pytest.mark.parametrize("second", [segment(100, traffic_class=32), segment(100, hop_limit=9)])
def test_packets_whose_ip_headers_differ_stay_apart(second):
    assert merge([segment(0), second]) == [segment(0), second]


def test_what_ip_identifies_a_packet_by_does_not_matter():
    second = bytearray(emit(segment(100)))
    second[5] = 1  # an octet of the identification
    second[11] -= 1  # an octet of the checksum
    merger = Merger()
    merger.take(received(emit(segment(0))))
    merger.take(received(bytes(second)))
    assert [one.gso_size for one in merger.segments()] == [100]


@pytest.mark.parametrize("at", [8, 11, 30, 60])  # hop limit, checksum, acknowledgment, payload
def test_damaged_packets_get_into_no_run(at):
    second = bytearray(emit(segment(100)))
    second[at] ^= 4
    merger = Merger()
    merger.take(received(emit(segment(0))))
    with pytest.raises(PacketError):
        merger.take(received(bytes(second)))
    merger.take(received(emit(segment(200))))
    assert merger.segments() == [segment(0), segment(200)]


def test_tcp_checksums_are_not_looked_at_where_the_kernel_has_verified_them():
    merger = Merger()
    for at in (0, 100):
        packet = emit(segment(at), partial_checksum=True)
        merger.take(received(packet, verified=True))
    (whole,) = merger.segments()
    assert list(split(whole)) == [segment(0), segment(100)]


def test_nothing_passes_a_packet_that_is_read_in_another_way():
    """A packet with IP options may belong to the same flow."""
    first, odd = segment(0), bytearray(emit(segment(100)))
    odd[0] = 0x46
    odd[20:20] = bytes(4)  # the end of the list of options
    odd[2:4] = len(odd).to_bytes(2, "big")
    odd[10:12] = bytes(2)
    odd[10:12] = (-int.from_bytes(odd[:24], "big") % 0xFFFF).to_bytes(2, "big")
    merger = Merger()
    for packet in (emit(first), bytes(odd), emit(segment(200))):
        merger.take(received(packet))
    assert merger.segments() == [first, segment(100), segment(200)]


def test_padding_of_a_frame_is_no_payload():
    merger = Merger()
    for at in (0, 4):
        merger.take(received(emit(segment(at, 4)) + bytes(6)))
    (whole,) = merger.segments()
    assert list(split(whole)) == [segment(0, 4), segment(4, 4)]


def test_memory_that_packets_came_in_may_be_used_again():
    memory = bytearray(emit(segment(0)))
    merger = Merger()
    merger.take(received(memory))
    (one,) = merger.segments()
    memory[:] = bytes(len(memory))
    assert one == segment(0)


@given(
    st.lists(
        st.builds(
            dict,
            gap=st.sampled_from([0, 0, 0, 0, 1, -100]),
            size=st.sampled_from([100, 100, 100, 60, 0]),
            flags=st.sampled_from([ACK, ACK, ACK, ACK | PSH, ACK | FIN, ACK | CWR, ACK | RST]),
            ack=st.sampled_from([7, 7, 7, 8]),
        ),
        max_size=20,
    )
)
def test_cutting_what_was_merged_gives_the_same_segments(steps):
    pieces, at = [], 0
    for step in steps:
        at += step["gap"]
        pieces.append(segment(at, step["size"], flags=step["flags"], ack=step["ack"]))
        at += step["size"]
    merged = merge(pieces)
    assert [piece for each in merged for piece in split(each)] == pieces
    assert msgspec.structs.asdict(merged[0])["seq"] == pieces[0].seq if pieces else not merged
