"""The headers in front of packets: what they ask of the kernel, and what is read from them."""

from __future__ import annotations

import struct

import pytest

from testbed.host.devices import frames
from testbed.host.devices.received import Received
from testbed.packet.address import Address
from testbed.packet.codec import emit
from testbed.packet.options import Timestamps
from testbed.packet.segment import ACK, CWR, Segment

ETHERNET = bytes(range(14))
HOSTS = {4: ("10.0.0.1", "10.0.0.2"), 6: ("2001:db8::1", "2001:db8::2")}


def packet(version=4, **fields):
    source, destination = (Address(host, 9) for host in HOSTS[version])
    options = (Timestamps(1, 2),)
    whole = {"flags": ACK, "seq": 1, "options": options, "payload": bytes(3000), **fields}
    return emit(Segment(source=source, destination=destination, **whole), partial_checksum=True)


def header(frame):
    return struct.unpack_from("=BBHHHH", frame)


@pytest.mark.parametrize(("version", "start"), [(4, 34), (6, 54)])
def test_the_kernel_is_asked_for_the_checksum_alone(version, start):
    head = frames.head(ETHERNET, packet(version), 0)
    assert header(head) == (1, 0, 0, 0, start, 16)
    assert head[10:] == ETHERNET


@pytest.mark.parametrize(("version", "kind", "start"), [(4, 1, 34), (6, 4, 54)])
def test_the_kernel_is_asked_to_cut(version, kind, start):
    head = frames.head(ETHERNET, packet(version), 1448)
    assert header(head) == (1, kind, start + 32, 1448, start, 16)


def test_the_first_piece_alone_reports_a_reduced_window():
    assert header(frames.head(ETHERNET, packet(flags=ACK | CWR), 1448))[1] == 0x81


@pytest.mark.parametrize(("flags", "verified"), [(0, False), (1, True), (2, True)])
def test_what_the_kernel_has_verified_is_not_verified_again(flags, verified):
    frame = struct.pack("=BBHHHH", flags, 0, 0, 0, 0, 0) + ETHERNET + b"packet"
    assert frames.unpack(memoryview(frame)) == Received(b"packet", verified, 0)


def test_the_size_of_the_pieces_a_frame_was_put_together_from_is_kept():
    frame = struct.pack("=BBHHHH", 2, 1, 66, 1448, 0, 0) + ETHERNET + b"packet"
    assert frames.unpack(memoryview(frame)).gso_size == 1448
