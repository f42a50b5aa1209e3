from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.wire.emulator.pool import CAPACITY, VNET_HEADER, Pool, complete_checksum

ETHERNET_IPV4 = 14 + 20


@pytest.fixture(scope="module")
def pool() -> Pool:
    return Pool()


def store(pool: Pool, frame: bytes) -> int:
    (handle,) = pool.take(1)
    pool.set_lengths([handle], [len(frame)])
    pool._frame(handle, len(frame))[:] = frame
    return handle


def content(pool: Pool, handle: int) -> bytes:
    return bytes(pool._frame(handle, pool.length(handle)))


def internet_checksum(data: bytes) -> int:
    """RFC 1071, octet by octet."""
    total = sum(octet << (8 if index % 2 == 0 else 0) for index, octet in enumerate(data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def test_slots_are_apart_and_used_again(pool: Pool) -> None:
    handles = pool.take(100)
    assert len(set(handles)) == 100
    assert min(b - a for a, b in zip(sorted(handles), sorted(handles)[1:], strict=False)) > CAPACITY
    pool.give_back(handles)
    assert set(pool.take(100)) == set(handles)
    pool.give_back(handles)


@given(st.binary(min_size=14, max_size=2000))
def test_a_copy_has_a_life_of_its_own(pool: Pool, octets: bytes) -> None:
    frame = bytes(VNET_HEADER) + octets
    handle = store(pool, frame)
    twin = pool.copy(handle)
    assert twin is not None
    assert content(pool, twin) == frame
    pool.corrupt(twin, 0.5)
    assert content(pool, handle) == frame
    pool.drop(handle)
    pool.drop(twin)


@given(
    st.binary(min_size=14, max_size=1514),
    st.floats(min_value=0, max_value=1, exclude_max=True),
)
def test_corruption_inverts_one_bit_of_the_frame(pool: Pool, frame: bytes, chance: float) -> None:
    handle = store(pool, bytes(VNET_HEADER) + frame)
    pool.corrupt(handle, chance)
    seen = content(pool, handle)
    assert seen[:VNET_HEADER] == bytes(VNET_HEADER)
    before, after = (int.from_bytes(data) for data in (frame, seen[VNET_HEADER:]))
    assert (before ^ after).bit_count() == 1
    pool.drop(handle)


@given(st.binary(max_size=1460), st.integers(0, 0xFFFF))
def test_an_unfinished_tcp_checksum_is_completed(payload: bytes, pseudo_header: int) -> None:
    # The field holds the sum over the pseudo header, as the kernel leaves it.
    segment = bytearray(20) + payload
    struct.pack_into("!H", segment, 16, pseudo_header)
    wanted = internet_checksum(bytes(segment))
    vnet = struct.pack("=BBHHHH", 1, 0, 0, 0, ETHERNET_IPV4, 16)
    frame = bytearray(vnet + bytes(ETHERNET_IPV4) + segment)
    complete_checksum(memoryview(frame))
    assert frame[:VNET_HEADER] == bytes(VNET_HEADER)
    (written,) = struct.unpack_from("!H", frame, VNET_HEADER + ETHERNET_IPV4 + 16)
    assert written == (wanted or 0xFFFF)


def test_a_finished_checksum_is_left_alone() -> None:
    frame = bytearray(VNET_HEADER) + bytearray(range(60))
    before = bytes(frame)
    complete_checksum(memoryview(frame))
    assert frame == before
