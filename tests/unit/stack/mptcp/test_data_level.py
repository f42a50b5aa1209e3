"""The data level: sequence numbers, mappings and both streams (RFC 8684, section 3.3)."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.mapping import Mapping
from testbed.stack.mptcp.received_mappings import ReceivedMappings
from testbed.stack.mptcp.streams import DataSequence, ReceiveStream, SendStream
from testbed.stack.ranges import Ranges


@pytest.mark.requirement("RFC 8684", "3.1-MUST-22")
def test_first_octet_has_the_initial_number_plus_one() -> None:
    """RFC 8684, section 3.1: the IDSN itself is taken by the handshake."""
    space = DataSequence(1000)
    assert space.number(0) == 1001
    assert space.position(1001, wide=True, near=0) == 0


@pytest.mark.requirement("RFC 8684", "3.3.1-MUST-4", "3.3.1-MUST-5")
@pytest.mark.parametrize("initial", [0, 2**32 - 3, 2**63 - 2, 2**64 - 2])
@pytest.mark.parametrize("position", [0, 1, 5, 2**32 - 1, 2**33 + 7])
def test_32_bits_are_promoted_to_64(initial: int, position: int) -> None:
    """RFC 8684, section 3.3.1: the position closest to the one expected is meant."""
    space = DataSequence(initial)
    narrow = space.number(position, wide=False)
    assert narrow < 2**32
    for near in (position, position + 2**31 - 1, max(0, position - 2**31 + 1)):
        assert space.position(narrow, wide=False, near=near) == position
    assert space.position(space.number(position), wide=True, near=position) == position


def _collect(mappings: ReceivedMappings, stream: str, until: int) -> dict[int, str]:
    """Place the octets of a subflow, whose first is position 0, where their mappings say."""
    found: dict[int, str] = {}
    for position in range(until):
        mapping = mappings.at(position)
        if mapping is not None:
            found[mapping.data + position - mapping.subflow] = stream[position]
    return found


def test_two_mappings_on_one_subflow() -> None:
    """Subflow octets 1 to 3 are data 101 to 103, and 4 to 5 are 501 to 502.

    Subflow sequence numbers count from 1, positions from 0.
    """
    mappings = ReceivedMappings()
    mappings.add(Mapping(data=101, subflow=0, length=3))
    mappings.add(Mapping(data=501, subflow=3, length=2))
    assert _collect(mappings, "abcde", 5) == {101: "a", 102: "b", 103: "c", 501: "d", 502: "e"}


def test_mapping_may_span_segments_and_come_again() -> None:
    """RFC 8684, section 3.3.1: each segment of a mapping may repeat it."""
    mappings = ReceivedMappings()
    for _ in range(3):
        mappings.add(Mapping(data=10, subflow=0, length=6))
    assert _collect(mappings, "abcdef", 6) == {10 + index: "abcdef"[index] for index in range(6)}


def test_mapping_is_immutable() -> None:
    """RFC 8684, section 3.3.1: what was mapped stays; only what is new of a mapping counts."""
    mappings = ReceivedMappings()
    mappings.add(Mapping(data=100, subflow=2, length=3))
    mappings.add(Mapping(data=900, subflow=0, length=8))
    assert _collect(mappings, "abcdefgh", 8) == {
        900: "a",
        901: "b",
        100: "c",
        101: "d",
        102: "e",
        905: "f",
        906: "g",
        907: "h",
    }


def test_mapping_may_come_after_part_of_its_data() -> None:
    """RFC 8684, section 3.3.1: octets without a mapping wait for it."""
    mappings = ReceivedMappings()
    assert mappings.at(0) is None
    mappings.add(Mapping(data=7, subflow=0, length=4))
    found = mappings.at(0)
    assert found is not None
    assert found.data == 7


def test_mappings_in_any_order_agree_with_a_table() -> None:
    rng = random.Random(8684)
    for _ in range(200):
        table: dict[int, int] = {}
        mappings = ReceivedMappings()
        for _ in range(8):
            start, length = rng.randrange(40), rng.randrange(1, 12)
            data = rng.randrange(1000)
            mappings.add(Mapping(data=data, subflow=start, length=length))
            for offset in range(length):
                table.setdefault(start + offset, data + offset)
        for position in range(60):
            mapping = mappings.at(position)
            seen = None if mapping is None else mapping.data + position - mapping.subflow
            assert seen == table.get(position)


def test_what_was_read_is_not_mapped_again() -> None:
    mappings = ReceivedMappings()
    mappings.add(Mapping(data=0, subflow=0, length=5))
    assert mappings.at(5) is None
    mappings.add(Mapping(data=0, subflow=0, length=5))  # a retransmission of old octets
    assert mappings.at(5) is None
    mappings.add(Mapping(data=5, subflow=5, length=5))
    found = mappings.at(5)
    assert found is not None
    assert found.data == 5


def test_data_is_kept_until_its_data_ack() -> None:
    stream = SendStream(capacity=10)
    assert stream.write(b"0123456789abc") == 10
    assert stream.room == 0
    stream.edge = 100
    assert stream.sendable == 10
    stream.next = 10
    stream.acked(4)
    assert stream.room == 4
    assert stream.peek(4, 6) == b"456789"
    assert stream.write(b"xyz") == 3
    assert stream.peek(4, 100) == b"456789xyz"


def test_small_writes_are_put_together() -> None:
    stream = SendStream(capacity=10**6)
    for index in range(1000):
        stream.write(bytes((index % 256,)))
    stream.acked(500)
    assert stream.peek(500, 500) == bytes(index % 256 for index in range(500, 1000))


def test_data_fin_takes_one_number() -> None:
    """RFC 8684, section 3.3.3."""
    stream = SendStream(capacity=100)
    stream.write(b"abc")
    stream.next, stream.closed, stream.fin_sent = 3, True, True
    stream.acked(3)
    assert not stream.fin_acked
    stream.acked(4)
    assert stream.fin_acked
    assert stream.una == 3


def test_window_is_the_smaller_limit() -> None:
    stream = SendStream(capacity=100)
    stream.write(b"x" * 50)
    stream.edge = 20
    assert stream.sendable == 20
    stream.next = 20
    assert stream.sendable == 0


def test_receive_stream_in_any_order() -> None:
    rng = random.Random(1)
    data = bytes(rng.randrange(256) for _ in range(5000))
    stream = ReceiveStream(capacity=10_000)
    pieces = [(start, data[start : start + rng.randrange(1, 300)]) for start in range(0, 5000, 60)]
    rng.shuffle(pieces)
    for start, piece in pieces * 2:
        stream.insert(start, piece)
    stream.insert(0, data)
    assert stream.readable == 5000
    assert stream.read(10) + stream.read(100_000) == data
    assert stream.read(1) == b""


@pytest.mark.requirement("RFC 8684", "3.3.4-MUST-NOT-1")
def test_right_edge_never_shrinks_and_grows_by_reading() -> None:
    """RFC 8684, section 3.3.4."""
    stream = ReceiveStream(capacity=10)
    assert stream.edge == 10
    stream.insert(0, b"abcdef")
    assert stream.edge == 10
    assert stream.read(4) == b"abcd"
    assert stream.edge == 14


@pytest.mark.parametrize("in_order", [True, False])
def test_data_beyond_the_window_is_not_kept(in_order: bool) -> None:
    """RFC 8684, section 3.3.4: but for what rounding of the window allows (RFC 7323, 2.3)."""
    stream = ReceiveStream(capacity=4)
    pieces = [(0, b"ab"), (2, b"c" * 50_000)]
    for start, data in pieces if in_order else pieces[::-1]:
        stream.insert(start, data)
    assert stream.next == 4 + 2**14
    stream.insert(stream.next, b"more")
    assert stream.next == 4 + 2**14


def test_data_fin_that_contradicts_data_is_ignored() -> None:
    """RFC 8684, section 3.3.3: nothing comes after it, and it stays where it is."""
    stream = ReceiveStream(capacity=100)
    stream.insert(0, b"ab")
    stream.insert(5, b"fg")
    for position in (1, 3, 6, 200_000):
        stream.finish(position)
        assert stream.fin is None
    stream.finish(8)
    stream.finish(9)
    assert stream.fin == 8
    stream.insert(2, b"cdefghij")
    assert stream.read(100) == b"abcdefgh"
    assert stream.finished


def test_data_fin_is_acknowledged_after_all_data() -> None:
    stream = ReceiveStream(capacity=100)
    stream.fin = 3
    assert stream.ack == 0
    stream.insert(1, b"bc")
    assert not stream.finished
    stream.insert(0, b"a")
    assert stream.ack == 4
    assert stream.finished


def test_ranges_agree_with_a_set() -> None:
    rng = random.Random(2)
    ranges, positions = Ranges(), set[int]()
    for _ in range(2000):
        start = rng.randrange(100)
        end = start + rng.randrange(20)
        if rng.random() < 0.5:
            ranges.add(start, end)
            positions |= set(range(start, end))
        else:
            ranges.remove(start, end)
            positions -= set(range(start, end))
        found = list(ranges)
        assert {one for begin, stop in found for one in range(begin, stop)} == positions
        assert all(stop < begin for (_, stop), (begin, _) in pairwise(found))
    ranges.remove_before(50)
    assert all(begin >= 50 for begin, _ in ranges)


@pytest.mark.requirement("RFC 8684", "3.3.5-MUST-2")
def test_send_buffer_is_as_large_as_the_receive_buffer() -> None:
    """RFC 8684, section 3.3.5: by default; a smaller one could not fill the peer's window."""
    assert MptcpConfig().send_buffer >= MptcpConfig().receive_buffer
