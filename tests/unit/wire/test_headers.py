"""What queues look at in frames of octets."""

from __future__ import annotations

import struct

import pytest

from testbed.wire.emulator import headers
from testbed.wire.emulator.pool import VNET_HEADER, Pool

ETHERNET = bytes(12)


def ipv4(ecn: int, ports: bytes = b"\0\1\0\2", fragment: int = 0, protocol: int = 6) -> bytearray:
    head = struct.pack("!BBHHHBBH", 0x45, ecn, 24, 7, fragment, 64, protocol, 0)
    head += bytes([10, 0, 0, 1, 10, 0, 0, 2])
    summed = ~checksum(head) & 0xFFFF
    return bytearray(
        ETHERNET + b"\x08\x00" + head[:10] + struct.pack("!H", summed) + head[12:] + ports
    )


def ipv6(ecn: int, ports: bytes = b"\0\1\0\2") -> bytearray:
    head = struct.pack("!IHBB", 6 << 28 | ecn << 20, len(ports), 6, 64)
    return bytearray(ETHERNET + b"\x86\xdd" + head + bytes(range(32)) + ports)


def checksum(octets: bytes) -> int:
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@pytest.mark.parametrize("ecn", [1, 2, 3])
def test_what_is_capable_is_marked_and_its_checksum_stays_right(ecn: int) -> None:
    frame = ipv4(ecn)
    assert headers.set_ce(memoryview(frame))
    assert frame[15] & 3 == 3
    assert checksum(bytes(frame[14:34])) == 0xFFFF
    six = ipv6(ecn)
    assert headers.set_ce(memoryview(six))
    assert six == ipv6(3)


def test_what_is_not_capable_is_left_alone() -> None:
    arp = bytearray(ETHERNET + b"\x08\x06" + bytes(28))
    for frame in (ipv4(0), ipv6(0), arp, bytearray(14), bytearray(ETHERNET + b"\x08\x00\x45")):
        before = bytes(frame)
        assert not headers.set_ce(memoryview(frame))
        assert frame == before


@pytest.mark.parametrize("make", [ipv4, ipv6])
def test_a_flow_is_its_addresses_and_ports(make: type[object]) -> None:
    def flow(ecn: int, ports: bytes) -> int:
        return headers.flow(memoryview(make(ecn, ports)))  # type: ignore[call-arg, arg-type]

    assert flow(0, b"\0\1\0\2") == flow(3, b"\0\1\0\2")
    assert flow(0, b"\0\1\0\2") != flow(0, b"\0\1\0\3")


def test_fragments_are_one_flow_whatever_stands_where_ports_would() -> None:
    first, second = (ipv4(0, ports, 0x2000) for ports in (b"\0\1\0\2", b"\7\7\7\7"))
    assert headers.flow(memoryview(first)) == headers.flow(memoryview(second))


def test_the_pool_marks_frames_in_their_slots() -> None:
    pool = Pool(2**24)
    handles = pool.take(2)
    for handle, ecn in zip(handles, (2, 0), strict=True):
        frame = bytes(VNET_HEADER) + ipv4(ecn)
        pool.set_lengths([handle], [len(frame)])
        pool._frame(handle, len(frame))[:] = frame  # as recvmmsg would
    assert pool.mark(handles[0]) == handles[0]
    assert pool.mark(handles[1]) is None
    assert pool.flow(handles[0]) == pool.flow(handles[1])
