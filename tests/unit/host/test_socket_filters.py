"""Socket filters, carried out by the kernel on a pair of local sockets."""

from __future__ import annotations

import socket
import struct

import pytest

from testbed.host.devices import filters
from testbed.packet import codec
from testbed.packet.address import Address
from testbed.packet.segment import ACK, Segment

ETHERNET = bytes(12)
PORT = 5001


@pytest.fixture
def passes():
    """Tell whether the filter for port 5001 passes an IP packet."""
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.settimeout(0)

    def decide(packet: bytes) -> bool:
        six = packet[0] >> 4 == 6
        family = socket.AF_INET6 if six else socket.AF_INET
        filters.attach(receiver, filters.segments_to(family, {0, filters.block_of(PORT)}))
        frame = ETHERNET + (b"\x86\xdd" if six else b"\x08\x00") + packet
        sender.send(frame)
        try:
            return receiver.recv(2**16) == frame
        except BlockingIOError:
            return False

    with sender, receiver:
        yield decide


def packet(port=PORT, hosts=("10.0.0.1", "10.0.0.2")):
    source, destination = hosts
    return codec.emit(
        Segment(source=Address(source, 9), destination=Address(destination, port), seq=1, flags=ACK)
    )


SIX = ("2001:db8::1", "2001:db8::2")


@pytest.mark.parametrize("hosts", [("10.0.0.1", "10.0.0.2"), SIX])
def test_segments_to_ports_of_a_block_pass(passes, hosts):
    assert passes(packet(hosts=hosts))
    assert passes(packet(filters.block_of(PORT), hosts=hosts))
    assert not passes(packet(filters.block_of(PORT) - 1, hosts=hosts))
    assert not passes(packet(filters.block_of(PORT) + filters.BLOCK, hosts=hosts))


def test_the_port_is_found_behind_ip_options(passes):
    plain = packet()
    with_options = bytes((0x46,)) + plain[1:20] + bytes(4) + plain[20:]
    assert passes(with_options)
    assert not passes(bytes((0x46,)) + packet(80)[1:20] + bytes(4) + packet(80)[20:])


def test_fragments_do_not_pass(passes):
    whole = bytearray(packet())
    for fragment in (0x2000, 0x0001):
        whole[6:8] = struct.pack("!H", fragment)
        assert not passes(bytes(whole))


@pytest.mark.parametrize(("kind", "wanted"), [(3, True), (11, True), (8, False), (0, False)])
def test_icmp_errors_pass_and_pings_do_not(passes, kind, wanted):
    ping = bytearray(packet())
    ping[9], ping[20] = 1, kind
    assert passes(bytes(ping)) is wanted


@pytest.mark.parametrize(("kind", "wanted"), [(1, True), (2, True), (128, False), (135, False)])
def test_icmpv6_errors_pass_and_neighbour_discovery_does_not(passes, kind, wanted):
    ping = bytearray(packet(hosts=SIX))
    ping[6], ping[40] = 58, kind
    assert passes(bytes(ping)) is wanted


def test_other_protocols_do_not_pass(passes):
    udp = bytearray(packet())
    udp[9] = 17
    assert not passes(bytes(udp))


def test_nothing_passes_the_filter_of_a_reserved_port():
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        receiver.settimeout(0)
        filters.attach(receiver, filters.NOTHING)
        sender.send(packet())
        with pytest.raises(BlockingIOError):
            receiver.recv(100)
