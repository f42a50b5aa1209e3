"""Merging segments as they come in: what was merged can be cut into the same segments again."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.host.gro import MOST, merge
from testbed.stack.packet.address import Address
from testbed.stack.packet.codec import split
from testbed.stack.packet.options import Timestamps
from testbed.stack.packet.segment import ACK, CE, CWR, ECE, FIN, PSH, RST, SYN, URG, Segment

A, B, C = Address("10.0.0.1", 1), Address("10.0.0.2", 2), Address("10.0.0.3", 3)
STAMPS = (Timestamps(1, 2),)


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
