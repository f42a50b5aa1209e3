"""Answers to pings."""

from __future__ import annotations

import struct

import pytest

from testbed.host.devices.echo import answer
from testbed.packet.address import pack
from testbed.packet.checksum import checksum, total

HERE = {4: "10.9.0.1", 6: "fd00:9::1"}
THERE = {4: "10.9.0.2", 6: "fd00:9::2"}


def ping(version: int, source: str, destination: str, kind: int, data: bytes) -> bytes:
    """Return a packet of ICMP with the right checksums."""
    near, far = pack(source), pack(destination)
    body = struct.pack("!HH", 7, 1) + data
    if version == 4:
        head = struct.pack("!BBHHHBB", 0x45, 0, 28 + len(data), 1, 0x4000, 64, 1)
        head += checksum(total(head) + total(near) + total(far)).to_bytes(2, "big")
        pseudo = 0
    else:
        head = struct.pack("!IHBB", 6 << 28, 8 + len(data), 58, 64)
        pseudo = total(near) + total(far) + 58 + 8 + len(data)
    code = bytes((kind, 0))
    return (
        head + near + far + code + checksum(pseudo + total(code) + total(body)).to_bytes(2) + body
    )


@pytest.mark.parametrize("data", [b"", b"abcdef", bytes(range(256)), b"\xff" * 1400])
@pytest.mark.parametrize(("version", "request_", "reply"), [(4, 8, 0), (6, 128, 129)])
def test_a_ping_is_answered(version: int, request_: int, reply: int, data: bytes) -> None:
    asked = ping(version, HERE[version], THERE[version], request_, data)
    wanted = ping(version, THERE[version], HERE[version], reply, data)
    assert answer(asked) == wanted


@pytest.mark.parametrize("version", [4, 6])
def test_nothing_else_is_answered(version: int) -> None:
    whole = ping(version, HERE[version], THERE[version], 3, b"")
    assert answer(whole) is None
    assert answer(whole[:-5]) is None
    udp = bytearray(ping(version, HERE[version], THERE[version], {4: 8, 6: 128}[version], b""))
    udp[9 if version == 4 else 6] = 17
    assert answer(bytes(udp)) is None


def test_a_fragment_is_not_answered() -> None:
    piece = bytearray(ping(4, HERE[4], THERE[4], 8, b"abcdef"))
    piece[6:8] = b"\x20\x00"
    assert answer(bytes(piece)) is None
