"""One wire and the process that emulates it, between two real interfaces.

Two veth pairs stand for two hosts: frames sent into ``host_a`` come out of ``host_b`` and the other
way round.  For tests that are :func:`tests.isolation.isolated`.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

from testbed.wire.emulator.client import Emulator, command
from testbed.wire.netem import Netem, WireCounters

SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23
ETHERTYPE = 0x88B5  # local experimental
VNET_HEADER = 10
NO_VNET = bytes(VNET_HEADER)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def link(name: str) -> None:
    """Make a host's interface and the end of the wire behind it."""
    ends = (f"host_{name}", f"wire_{name}")
    ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
    for end in ends:
        ip("link", "set", end, "up")
    for end in ends:
        until_it_runs(end)


def until_it_runs(interface: str) -> None:
    """Wait for its carrier, which the kernel turns on in a work queue: until then frames vanish."""
    while True:
        shown = subprocess.run(["ip", "link", "show", interface], check=True, capture_output=True)
        if b"state UP" in shown.stdout:
            return


def in_time(attempt: Callable[[str], bool]) -> bool:
    """Try a test with ever longer delays until frames are held as long as the machine needs.

    :param attempt: tests with a delay, and returns whether frames were held for long enough.
    """
    return any(attempt(f"delay {300 * 2**n}ms") for n in range(8))


class Lab:
    """One wire with hosts on both ends, and the process that emulates it."""

    def __init__(self, toward_b: str = "", toward_a: str = "", *, start: bool = True) -> None:
        Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
        self.hosts = {}
        for name in "ab":
            link(name)
            self.hosts[name] = self.host(f"host_{name}")
        ours, theirs = socket.socketpair()
        descriptor = theirs.fileno()
        self.process = subprocess.Popen(command(descriptor), pass_fds=(descriptor,))
        theirs.close()
        self.emulator = Emulator(ours)
        if start:
            self.add(toward_b, toward_a)

    def add(self, toward_b: str = "", toward_a: str = "", *, half_duplex: bool = False) -> None:
        self.emulator.add(
            link="lan",
            a="wire_a",
            b="wire_b",
            mtu=1500,
            toward_a=Netem.parse(toward_a),
            toward_b=Netem.parse(toward_b),
            seed=1,
            half_duplex=half_duplex,
        )

    @staticmethod
    def host(interface: str) -> socket.socket:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
        sock.bind((interface, 3))
        sock.settimeout(20)
        return sock

    def send(self, sender: str, *frames: bytes, vnet: bytes = NO_VNET) -> None:
        for frame in frames:
            self.hosts[sender].send(vnet + frame)

    def receive(self, receiver: str) -> bytes:
        """Return the next frame with its virtio header."""
        return self.hosts[receiver].recv(70_000)

    def receive_frames(self, receiver: str, count: int) -> list[bytes]:
        return [self.receive(receiver)[VNET_HEADER:] for _ in range(count)]

    def counters(self, toward: str = "b") -> WireCounters:
        return self.emulator.counters()["lan", toward]

    def wait_for(
        self, condition: Callable[[WireCounters], bool], toward: str = "b"
    ) -> WireCounters:
        """Ask for the counters until they are as wanted; the test's time-out ends it."""
        while not condition(counters := self.counters(toward)):
            os.sched_yield()
        return counters

    def close(self) -> None:
        self.emulator.close()
        assert self.process.wait(20) == 0


@contextlib.contextmanager
def lab(toward_b: str = "", toward_a: str = ""):
    it = Lab(toward_b, toward_a)
    try:
        yield it
    finally:
        it.close()
        for name in "ab":
            ip("link", "delete", f"host_{name}")


def frames(count: int, seed: int = 1) -> list[bytes]:
    """Frames of all lengths with random content."""
    draw = random.Random(seed)
    head = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02" + struct.pack("!H", ETHERTYPE)
    return [head + draw.randbytes(draw.randint(1, 1500)) for _ in range(count)]
