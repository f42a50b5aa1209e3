"""``python rewriting.py NEAR FAR TOWARD FIND REPLACE AFTER``: a router that edits what it forwards.

It forwards between two interfaces in place of the kernel, and does to payloads what
:class:`~testbed.sim.middlebox.RewritePayload` does.  Its interfaces get other hardware addresses
than the neighbours know, so the kernel takes what comes for somebody else's.  It lowers
the MSS that both ends announce, so that there is room for what it, or a peer, makes longer.

:param TOWARD: ``a``, out of NEAR, or ``b``, out of FAR.
"""

from __future__ import annotations

import fcntl
import selectors
import socket
import struct
import sys
from pathlib import Path

import msgspec

from testbed.sim.middlebox import RewritePayload
from testbed.stack.packet.codec import emit, parse, split
from testbed.stack.packet.options import MaximumSegmentSize

IPV4 = 0x0800
SIOCSIFHWADDR = 0x8924
ARPHRD_ETHER = 1
MSS = 1360
UNKNOWN = bytes.fromhex("020000000bad")


class Port:
    """One interface."""

    def __init__(self, name, toward):
        self.toward = toward  # where what comes in here goes
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(IPV4))
        self.socket.bind((name, IPV4))
        lines = Path("/proc/net/arp").read_text().splitlines()[1:]
        [self.neighbour] = (
            bytes.fromhex(line.split()[3].replace(":", "")) for line in lines if name in line
        )
        self.name = name
        request = struct.pack("16sH6s8x", name.encode(), ARPHRD_ETHER, UNKNOWN)
        fcntl.ioctl(self.socket, SIOCSIFHWADDR, request)  # it forgets its neighbours for that

    def packets(self):
        packet, (_, _, kind, *_) = self.socket.recvfrom(2**16)
        return [packet] if kind == socket.PACKET_OTHERHOST else []

    def send(self, segment):
        self.socket.sendto(emit(segment), (self.name, IPV4, 0, 0, self.neighbour))


def lowered(option):
    """Return an option as it goes on."""
    return MaximumSegmentSize(MSS) if isinstance(option, MaximumSegmentSize) else option


def main(near, far, toward, find, replace, after):
    box = RewritePayload(find.encode(), replace.encode(), toward=toward, after=int(after))
    a, b = Port(near, "b"), Port(far, "a")
    out = {"a": a, "b": b}
    selector = selectors.DefaultSelector()
    for port in (a, b):
        selector.register(port.socket, selectors.EVENT_READ, port)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            for packet in key.data.packets():
                segment = parse(packet, verify=False)
                options = tuple(map(lowered, segment.options))
                segment = msgspec.structs.replace(segment, options=options)
                for made in box.process(segment, key.data.toward, 0):
                    for piece in split(made):
                        out[key.data.toward].send(piece)


main(*sys.argv[1:])
