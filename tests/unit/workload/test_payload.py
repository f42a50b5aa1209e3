"""The payload: the same for the same seed, nowhere the same, and its digest."""

from __future__ import annotations

import math
import zlib

from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.workload.payload import BLOCK, WORTH, Digest, Payload, Received


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


@given(st.lists(st.integers(1, 3 * BLOCK), min_size=1, max_size=5), st.integers(0, 2))
@settings(max_examples=20)
def test_the_digest_of_a_stream_is_that_of_its_octets(sizes, session):
    payload, digest = Payload("seed", session), Digest()
    for size in sizes:
        digest.update(payload.take(size))
    assert payload.flow() == digest.flow()
    assert payload.octets == digest.octets


def test_a_stream_of_which_nothing_was_taken_has_the_digest_of_nothing():
    assert Payload("seed").flow() == Digest().flow() == Received("seed").flow()


def received(data, sizes, seed="seed"):
    """Return what is said of octets that come in pieces of these sizes, again and again."""
    found, at, number = Received(seed), 0, 0
    while at < len(data):
        size = sizes[number % len(sizes)]
        found.update(data[at : at + size])
        at, number = at + size, number + 1
    return found


@given(
    st.integers(0, 3 * BLOCK),
    st.lists(st.integers(1, 2 * WORTH), min_size=1, max_size=4).filter(lambda it: sum(it) > 9999),
    st.none() | st.tuples(st.floats(0, 1), st.integers(1, 255)),
)
@settings(max_examples=40, deadline=None)
def test_what_is_received_is_digested_as_it_comes(count, sizes, damage):
    """Whether it is compared or not, and from wherever on an octet differs."""
    data = bytearray(octets(Payload("seed"), count))
    if damage is not None and data:
        data[int(damage[0] * (count - 1))] ^= damage[1]
    found = received(bytes(data), sizes)
    assert found.octets == count
    assert found.flow().digest == f"{zlib.crc32(data):08x}"
    same = found.flow() == Payload("seed").skip(count).flow()
    assert same == (damage is None or not data)


def test_octets_of_another_stream_are_digested_too():
    data = octets(Payload("another"), 3 * WORTH)
    assert received(data, [1000], "seed").flow() == Payload("another").skip(len(data)).flow()


def test_octets_that_are_missing_or_come_twice_show():
    data = octets(Payload("seed"), 4 * WORTH)
    for changed in (data[: 2 * WORTH] + data[2 * WORTH + 1 :], data[:WORTH] + data):
        flow = received(changed, [5000]).flow()
        assert flow.digest == f"{zlib.crc32(changed):08x}"
        assert flow != Payload("seed").skip(len(changed)).flow()
