"""Which packets a capture takes: the filter, asked by the kernel itself."""

from __future__ import annotations

import socket
import struct

import pytest

from testbed.errors import InputError
from testbed.host.devices.filters import attach
from testbed.probe.capture.selection import Selection

IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806


def ipv4(source: str, destination: str, ports: tuple[int, int], **fields: int) -> bytes:
    words = fields.get("options", 0)
    head = struct.pack(
        "!BBHHHBBH4s4s",
        0x45 + words,
        0,
        40,
        0,
        fields.get("fragment", 0),
        64,
        fields.get("protocol", 6),
        0,
        socket.inet_aton(source),
        socket.inet_aton(destination),
    )
    return frame(IPV4, head + bytes(4 * words) + struct.pack("!HH", *ports) + bytes(16))


def ipv6(source: str, destination: str, ports: tuple[int, int], protocol: int = 6) -> bytes:
    addresses = b"".join(socket.inet_pton(socket.AF_INET6, it) for it in (source, destination))
    head = struct.pack("!IHBB", 6 << 28, 20, protocol, 64) + addresses
    return frame(IPV6, head + struct.pack("!HH", *ports) + bytes(16))


def frame(kind: int, body: bytes) -> bytes:
    return bytes(12) + kind.to_bytes(2, "big") + body


FRAMES = {
    "there": ipv4("10.0.1.1", "10.0.1.2", (40000, 5001)),
    "back": ipv4("10.0.1.2", "10.0.1.1", (5001, 40000)),
    "other host": ipv4("10.0.2.1", "10.0.2.2", (40000, 5001)),
    "other port": ipv4("10.0.1.1", "10.0.1.2", (40000, 80)),
    "options": ipv4("10.0.1.1", "10.0.1.2", (40000, 5001), options=3),
    "udp": ipv4("10.0.1.1", "10.0.1.2", (5001, 53), protocol=17),
    "icmp": ipv4("10.0.1.1", "10.0.1.2", (5001, 5001), protocol=1),
    "fragment": ipv4("10.0.1.1", "10.0.1.2", (5001, 5001), fragment=185),
    "six": ipv6("fd00::1", "fd00::2", (40000, 5001)),
    "six back": ipv6("fd00::2", "fd00::1", (5001, 40000)),
    "six near": ipv6("fd00::1:1", "fd00::1:2", (5001, 80)),
    "arp": frame(ARP, bytes(28)),
}


def taken(selection: Selection) -> set[str]:
    """Return the frames that a socket with the filter gets."""
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        attach(receiver, selection.program())
        for octets in FRAMES.values():
            sender.send(octets)
        receiver.settimeout(0)
        found = []
        for _ in FRAMES:
            try:
                found.append(receiver.recv(2048))
            except BlockingIOError:
                break
        return {name for name, octets in FRAMES.items() if octets in found}


def test_without_conditions_all_is_taken() -> None:
    assert taken(Selection()) == set(FRAMES)


def test_a_host_sends_or_receives() -> None:
    expected = {"there", "back", "other port", "options", "udp", "icmp", "fragment"}
    assert taken(Selection(host="10.0.1.1")) == expected
    assert taken(Selection(host="fd00::2")) == {"six", "six back"}
    assert taken(Selection(host="fd00::1:2")) == {"six near"}


def test_a_port_is_of_tcp_or_udp() -> None:
    expected = {"there", "back", "other host", "options", "udp", "six", "six back", "six near"}
    assert taken(Selection(port=5001)) == expected


def test_host_and_port_hold_together() -> None:
    assert taken(Selection(host="10.0.1.2", port=5001)) == {"there", "back", "options", "udp"}
    assert taken(Selection(host="fd00::1", port=5001)) == {"six", "six back"}


def test_packets_are_cut() -> None:
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        attach(receiver, Selection(port=5001, snaplen=20).program())
        sender.send(FRAMES["there"])
        assert receiver.recv(2048) == FRAMES["there"][:20]


def test_a_name_is_no_address() -> None:
    with pytest.raises(InputError, match="'server' is not an address"):
        Selection(host="server").program()
