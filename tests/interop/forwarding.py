"""A router in a program: it forwards between two interfaces in place of the kernel.

Its interfaces get other hardware addresses than the neighbours know, so the kernel takes incoming
frames for those of another host.
"""

from __future__ import annotations

import fcntl
import selectors
import socket
import struct
from pathlib import Path

from testbed.packet.codec import emit, parse, split

IPV4 = 0x0800
SIOCSIFHWADDR = 0x8924
ARPHRD_ETHER = 1
UNKNOWN = bytes.fromhex("020000000bad")


class Port:
    """One interface."""

    def __init__(self, name, toward):
        self.toward = toward  # the direction of packets that come in here
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(IPV4))
        self.socket.bind((name, IPV4))
        lines = Path("/proc/net/arp").read_text().splitlines()[1:]
        [self.neighbour] = (
            bytes.fromhex(line.split()[3].replace(":", "")) for line in lines if name in line
        )
        self.name = name
        request = struct.pack("16sH6s8x", name.encode(), ARPHRD_ETHER, UNKNOWN)
        # This makes the interface forget its neighbours.
        fcntl.ioctl(self.socket, SIOCSIFHWADDR, request)

    def packets(self):
        packet, (_, _, kind, *_) = self.socket.recvfrom(2**16)
        return [packet] if kind == socket.PACKET_OTHERHOST else []

    def send(self, segment):
        self.socket.sendto(emit(segment), (self.name, IPV4, 0, 0, self.neighbour))


def forward(near, far, process):
    """Forward until cancelled.

    :param process: is given a segment and where it goes, ``a`` (out of ``near``) or ``b``; returns
        what goes on.
    """
    a, b = Port(near, "b"), Port(far, "a")
    out = {"a": a, "b": b}
    selector = selectors.DefaultSelector()
    for port in (a, b):
        selector.register(port.socket, selectors.EVENT_READ, port)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            toward = key.data.toward
            for packet in key.data.packets():
                for made in process(parse(packet, verify=False), toward):
                    for piece in split(made):
                        out[toward].send(piece)
