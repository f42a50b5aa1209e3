"""A target for each codec: for any octets it returns a value or raises PacketError.

A value that was read is written and read again without a change.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random
from typing import Final

import msgspec

from testbed.errors import PacketError
from testbed.host.devices.gro import Merger
from testbed.host.devices.received import Received
from testbed.packet.checksum import checksum, total
from testbed.packet.codec import emit, parse, split
from testbed.packet.icmp import IcmpError, parse_icmp
from testbed.packet.option_list import emit_options, parse_options
from testbed.packet.segment import ACK, PSH
from tests.fuzz import octets
from tests.fuzz.finding import Finding


def expect(holds: bool, what: str) -> None:
    """Raise a finding where something does not hold."""
    if not holds:
        raise Finding(what)


def check_packet(data: bytes) -> None:
    """IP and TCP headers."""
    try:
        segment = parse(data)
    except PacketError:
        return
    expect(parse(emit(segment)) == segment, "a segment changes on its way through the codec")


def check_options(data: bytes) -> None:
    """All options of a header."""
    found = parse_options(data[:40])
    try:
        written = emit_options(found)
    except PacketError as error:
        raise Finding("options that came in one header do not fit into one") from error
    expect(parse_options(written) == found, "options change on their way through the codec")
    for option in found:
        expect(option.size == len(option.encode()), "an option does not have the size it says")


def check_icmp(data: bytes) -> None:
    """ICMP errors."""
    try:
        error = parse_icmp(data)
    except PacketError:
        return
    expect(error is None or isinstance(error, IcmpError), "no ICMP error came out")


def check_offload(data: bytes) -> None:
    """Segments that are put together and cut again: they stay what they were."""
    rng = Random(data)
    first = octets.segment(rng)
    seq, several = first.seq, []
    for _ in range(rng.randrange(1, 8)):
        size = rng.choice((0, 1, 10, 10, 10, rng.randrange(40)))
        flags = rng.choice((ACK, ACK, ACK, ACK | PSH, octets.number(rng, 8)))
        one = msgspec.structs.replace(
            first, seq=seq & 0xFFFF_FFFF, flags=flags, payload=rng.randbytes(size)
        )
        several.append(emit(one))
        seq += size if rng.random() < 0.8 else rng.randrange(9)
    merger = Merger()
    for packet in several:
        merger.take(Received(memoryview(packet), verified=False, gso_size=0))
    apart = [piece for one in merger.segments() for piece in split(one)]
    before = sorted(str(parse(packet)) for packet in several)
    expect(sorted(map(str, apart)) == before, "offload changes segments")


def icmp_packet(rng: Random) -> bytes:
    """Return an ICMP error about a segment, mostly damaged, with its checksum made right."""
    quoted = emit(octets.segment(rng))[: rng.choice((8, 28, 48, 68, 200))]
    if rng.random() < 0.6:
        quoted = octets.damaged(rng, quoted)
    head = bytes((rng.choice((1, 2, 3, 3, 3, 4, 11)), rng.randrange(16)))
    message = head + bytes(2) + octets.number(rng, 32).to_bytes(4, "big") + quoted
    if rng.random() < 0.2:
        message = octets.damaged(rng, message)
    if rng.random() < 0.5:
        header = struct.pack("!BBHIBBH", 0x45, 0, 20 + len(message), 0, 64, 1, 0) + bytes(8)
        pseudo = b""
    else:
        header = struct.pack("!IHBB", 6 << 28, len(message), 58, 64) + bytes(32)
        pseudo = header[8:40] + struct.pack("!II", len(message), 58)
    if len(message) >= 4:
        message = message[:2] + bytes(2) + message[4:]
        sums = checksum(total(pseudo) + total(message))
        message = message[:2] + sums.to_bytes(2, "big") + message[4:]
    return header + message


def option_octets(rng: Random) -> bytes:
    """Return the options of a header, sound or damaged."""
    found = emit_options(octets.options(rng))
    return found if rng.random() < 0.1 else octets.damaged(rng, found)[:40]


def mptcp_octets(rng: Random) -> bytes:
    """Return one option of MPTCP whose length or fields may be wrong."""
    data = bytearray(octets.mptcp_option(rng).encode())
    if rng.random() < 0.5:
        data[2] = rng.getrandbits(8)  # subtype and flags
    if rng.random() < 0.5 and len(data) > 3:
        data[3] = rng.getrandbits(8)
    if rng.random() < 0.5:
        size = rng.randrange(2, 41)
        data = bytearray((bytes(data) + rng.randbytes(40))[:size])
        data[1] = size
    return bytes(data)


Make = Callable[[Random], bytes]
Check = Callable[[bytes], None]

CODECS: Final[dict[str, tuple[Make, Check]]] = {
    "packet": (octets.packet, check_packet),
    "options": (option_octets, check_options),
    "mptcp-options": (mptcp_octets, check_options),
    "icmp": (icmp_packet, check_icmp),
    "offload": (lambda rng: rng.randbytes(8), check_offload),
}
