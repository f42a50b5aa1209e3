"""The one reassembler, for TCP's stream and for MPTCP's."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from testbed.stack.reassembly import MOST_PIECES, Reassembly

DATA = random.Random(1).randbytes(5000)


@pytest.mark.parametrize("seed", range(20))
def test_pieces_in_any_order_make_the_stream(seed: int) -> None:
    rng = random.Random(seed)
    stream = Reassembly()
    there: set[int] = set()
    while stream.next < len(DATA):
        start = rng.randrange(len(DATA))
        end = min(len(DATA), start + rng.randrange(1, 300))
        new = stream.add(start, DATA[start:end])
        assert {at for a, b in new for at in range(a, b)} == set(range(start, end)) - there
        there |= set(range(start, end))
        missing = next((at for at in range(len(DATA)) if at not in there), len(DATA))
        assert stream.next == missing
        assert stream.readable == missing
        assert stream.end == max(there) + 1
        assert stream.out_of_order == len(there) - missing
        assert (stream.out_of_order > 0) == (stream.end > missing)
    assert stream.read(1 << 20) == DATA


@pytest.mark.requirement("RFC 8684", "3.3.1-SHOULD-1", "3.3.1-SHOULD-2")
def test_what_came_first_stays() -> None:
    stream = Reassembly()
    stream.add(2, b"cd")
    stream.add(0, b"ABCDEF")
    assert stream.read(100) == b"ABcdEF"


def test_octets_out_of_order_are_counted_until_they_are_dropped() -> None:
    stream = Reassembly()
    stream.add(10, bytes(10))
    stream.add(30, bytes(10))
    stream.truncate(35)
    assert stream.out_of_order == 15
    stream.truncate(15)
    assert stream.out_of_order == 5
    stream.clear()
    assert stream.out_of_order == 0


def test_the_number_of_pieces_is_bounded() -> None:
    stream = Reassembly()
    for number in range(MOST_PIECES + 10):
        stream.add(2 * number + 1, b"x")
    assert stream.end == 2 * MOST_PIECES
    stream.add(0, b"y")
    assert stream.next == 2


def test_small_pieces_in_order_take_no_more_than_their_octets() -> None:
    """Each object takes some 40 octets more than what is in it."""
    rng = random.Random(2)
    stream, octets = Reassembly(), 0
    tracemalloc.start()
    while octets < 400_000:
        piece = rng.randbytes(2)
        stream.add(octets, piece)
        octets += len(piece)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 2 * octets


@pytest.mark.parametrize("limit", [1, 3, 700, 1 << 20])
def test_small_and_large_pieces_are_read_as_they_came(limit: int) -> None:
    rng = random.Random(3)
    stream, at = Reassembly(), 0
    read = b""
    while at < len(DATA):
        piece = DATA[at : at + rng.choice((1, 2, 600))]
        stream.add(at, piece)
        at += len(piece)
        if rng.random() < 0.3:
            read += stream.read(limit)
    while some := stream.read(limit):
        assert type(some) is bytes
        read += some
    assert read == DATA
    assert stream.readable == 0
