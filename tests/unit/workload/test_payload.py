"""The payload: the same for the same seed, nowhere the same, and its digest."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.workload.payload import BLOCK, Digest, Payload


def octets(payload: Payload, count: int) -> bytes:
    taken = bytearray()
    while len(taken) < count:
        taken += payload.take(count - len(taken))
    return bytes(taken)


@given(st.lists(st.integers(1, 3 * BLOCK), min_size=1, max_size=8))
@settings(max_examples=30)
def test_the_stream_does_not_depend_on_how_it_is_taken(sizes):
    payload, taken = Payload("seed"), bytearray()
    for size in sizes:
        part = payload.take(size)
        assert 1 <= len(part) <= size
        taken += part
    assert taken == octets(Payload("seed"), len(taken))


def test_another_seed_is_another_stream():
    assert octets(Payload(1), 1000) != octets(Payload(2), 1000)


def test_the_length_of_a_pass_is_prime():
    assert all(BLOCK % divisor for divisor in range(2, math.isqrt(BLOCK) + 1))


def test_pieces_at_the_distance_of_passes_differ():
    stream = octets(Payload("seed"), 6 * BLOCK)
    for start in range(0, BLOCK - 1500, BLOCK // 7):
        pieces = [stream[start + k * BLOCK : start + k * BLOCK + 1448] for k in range(6)]
        assert len(set(pieces)) == 6


def test_the_digest_is_crc_32():
    digest = Digest()
    digest.update(b"1234")
    digest.update(memoryview(b"56789"))
    flow = digest.flow()
    assert (flow.octets, flow.digest) == (9, "cbf43926")  # the CRC catalogue's check value
