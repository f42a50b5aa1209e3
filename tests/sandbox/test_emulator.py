"""The emulator process between two real interfaces.

Each test runs in a child process with a network namespace of its own, in which two veth pairs
stand for two hosts: frames sent into ``host_a`` come out of ``host_b`` and the other way round.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.errors import InputError, SandboxError
from testbed.wire.emulator.client import Emulator, command
from testbed.wire.netem import Netem, WireCounters
from tests.isolation import isolated

pytestmark = pytest.mark.sandbox

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

    def add(self, toward_b: str = "", toward_a: str = "") -> None:
        self.emulator.add(
            link="lan",
            a="wire_a",
            b="wire_b",
            mtu=1500,
            toward_a=Netem.parse(toward_a),
            toward_b=Netem.parse(toward_b),
            seed=1,
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


@isolated
def test_frames_pass_unchanged_and_in_order_both_ways() -> None:
    with lab() as wire:
        there, back = frames(300, seed=1), frames(300, seed=2)
        for at in range(0, 300, 50):  # as many as any user's socket can hold
            part = slice(at, at + 50)
            for one, other in zip(there[part], back[part], strict=True):
                wire.send("a", one)
                wire.send("b", other)
            assert wire.receive_frames("b", 50) == there[part]
            assert wire.receive_frames("a", 50) == back[part]
        for toward, sent in (("b", there), ("a", back)):
            counters = wire.counters(toward)
            assert counters.forwarded_packets == 300
            assert counters.forwarded_bytes == sum(map(len, sent))


@isolated
def test_delayed_frames_stay_in_order() -> None:
    with lab("delay 100ms") as wire:
        wire.send("a", *frames(50))
        assert wire.receive_frames("b", 50) == frames(50)
        assert wire.counters().queued_packets == 0


@isolated
def test_frames_are_counted_while_they_are_held() -> None:
    with lab("delay 3600s") as wire:
        wire.send("a", *frames(50))
        held = wire.wait_for(lambda counters: counters.queued_packets == 50)
        assert held.queued_bytes == sum(map(len, frames(50)))
        assert held.forwarded_packets == 0


@isolated
def test_each_direction_has_options_of_its_own() -> None:
    with lab(toward_b="loss 100%") as wire:
        wire.send("a", *frames(10))
        wire.send("b", *frames(10))
        assert wire.receive_frames("a", 10) == frames(10)
        assert wire.wait_for(lambda counters: counters.dropped_loss == 10).forwarded_packets == 0
        assert wire.counters("a").dropped_loss == 0


@isolated
def test_options_change_in_place_and_what_is_held_survives() -> None:
    def change(delay: str) -> bool:
        before, during, after = frames(3)
        with lab(delay) as wire:
            wire.send("a", before)
            wire.wait_for(lambda c: c.queued_packets + c.forwarded_packets == 1)
            wire.emulator.set("lan", "b", Netem.parse(f"{delay} loss 100%"))
            wire.send("a", during)
            held = wire.wait_for(lambda counters: counters.dropped_loss == 1).queued_packets
            wire.emulator.set("lan", "b", Netem.parse(delay))
            wire.send("a", after)
            assert wire.receive_frames("b", 2) == [before, after]
            (toward_b,) = (d for d in wire.emulator.report().directions if d.toward == "b")
            assert toward_b.netem == Netem.parse(delay)
        return held == 1

    assert in_time(change)


@isolated
def test_duplicates_are_whole_frames() -> None:
    with lab("duplicate 100%") as wire:
        one, other = frames(2)
        wire.send("a", one, other)
        assert wire.receive_frames("b", 4) == [one, one, other, other]
        assert wire.counters().duplicated == 2


@isolated
def test_a_seed_decides_which_frames_are_lost() -> None:
    def survivors() -> list[bytes]:
        with lab("loss 50%") as wire:
            wire.send("a", *frames(100))
            counters = wire.wait_for(lambda c: c.forwarded_packets + c.dropped_loss == 100)
            return wire.receive_frames("b", counters.forwarded_packets)

    first = survivors()
    assert 20 < len(first) < 80
    assert survivors() == first


def unfinished_tcp_frame(payload: int) -> bytes:
    """An IPv4 TCP frame whose checksum the sender leaves to the hardware."""
    ipv4 = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 40 + payload, 0, 0, 64, 6, 0, b"\n\0\0\1", b"\n\0\0\2"
    )
    tcp = struct.pack("!HHIIBBHHH", 1, 2, 3, 4, 0x50, 0x10, 5, 0x1234, 0)
    return b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0" + ipv4 + tcp + bytes(payload)


@isolated
def test_unfinished_checksums_and_segments_pass_as_they_are() -> None:
    needs_checksum, tcp_segments = 1, 1
    vnet = struct.pack("=BBHHHH", needs_checksum, tcp_segments, 54, 1448, 34, 16)
    frame = unfinished_tcp_frame(40_000)
    with lab() as wire:
        wire.send("a", frame, vnet=vnet)
        seen = wire.receive("b")
        assert seen[VNET_HEADER:] == frame
        assert seen[:VNET_HEADER] == vnet
        assert wire.counters().forwarded_bytes == len(frame)


@isolated
def test_corruption_leaves_a_checksum_that_tells() -> None:
    vnet = struct.pack("=BBHHHH", 1, 0, 0, 0, 34, 16)
    frame = unfinished_tcp_frame(100)
    with lab("corrupt 100%") as wire:
        wire.send("a", frame, vnet=vnet)
        seen = wire.receive("b")
        assert seen[0] & 1 == 0  # nothing is left to the receiver's hardware
        words = struct.unpack(f"!{(len(frame) - 34) // 2}H", frame[34:])
        checksum = sum(words)
        while checksum >> 16:
            checksum = (checksum & 0xFFFF) + (checksum >> 16)
        whole = frame[:50] + struct.pack("!H", ~checksum & 0xFFFF) + frame[52:]
        differing = int.from_bytes(whole) ^ int.from_bytes(seen[VNET_HEADER:])
        assert differing.bit_count() == 1
        assert wire.counters().corrupted == 1


@isolated
def test_a_link_that_is_down_loses_frames_and_comes_back() -> None:
    with lab() as wire:
        first, second, third = frames(3)
        ip("link", "set", "wire_b", "down")
        wire.send("a", first)
        counters = wire.wait_for(lambda counters: counters.dropped_send == 1)
        assert (counters.forwarded_packets, counters.forwarded_bytes) == (0, 0)
        ip("link", "set", "wire_b", "up")
        wire.send("a", second)
        wire.send("b", third)
        assert wire.receive_frames("b", 1) == [second]
        assert wire.receive_frames("a", 1) == [third]


@isolated
def test_every_frame_that_cannot_be_sent_is_counted() -> None:
    def lose(delay: str) -> bool:
        with lab(delay) as wire:
            wire.send("a", *frames(5))
            wire.wait_for(lambda c: c.queued_packets + c.forwarded_packets == 5)
            ip("link", "set", "wire_b", "down")
            if wire.counters().queued_packets < 5:
                return False
            counters = wire.wait_for(lambda counters: counters.queued_packets == 0)
            assert (counters.dropped_send, counters.forwarded_packets) == (5, 0)
        return True

    assert in_time(lose)


@isolated
def test_a_frame_that_is_held_long_does_not_hold_up_others() -> None:
    with lab(toward_b="delay 3600s", toward_a="delay 10ms") as wire:
        wire.send("a", *frames(1))
        wire.wait_for(lambda counters: counters.queued_packets == 1)
        wire.send("b", *frames(3))
        assert wire.receive_frames("a", 3) == frames(3)


@isolated
def test_what_others_send_through_a_middle_end_does_not_cross_the_wire() -> None:
    with lab() as wire, Lab.host("wire_a") as other:
        stray, wanted = frames(2)
        other.send(NO_VNET + stray)
        assert wire.receive_frames("a", 1) == [stray]
        wire.send("a", wanted)
        assert wire.receive_frames("b", 1) == [wanted]


@isolated
def test_a_wire_whose_interface_is_deleted_does_not_stop_the_others() -> None:
    with lab() as wire:
        for name in "xy":
            link(name)
        plain = {"mtu": 1500, "toward_a": Netem(), "toward_b": Netem()}
        wire.emulator.add(link="other", a="wire_x", b="wire_y", **plain)
        ip("link", "delete", "wire_x")
        wire.send("a", *frames(5))
        assert wire.receive_frames("b", 5) == frames(5)
        assert wire.emulator.counters()["other", "b"] == WireCounters()


@isolated
def test_frames_that_come_faster_than_they_are_read_are_counted() -> None:
    with lab() as wire:
        os.kill(wire.process.pid, signal.SIGSTOP)
        (frame,) = frames(1)
        big = frame.ljust(1514, b"\0")
        for _ in range(50_000):
            wire.send("a", big)
        os.kill(wire.process.pid, signal.SIGCONT)
        counters = wire.wait_for(lambda c: c.forwarded_packets + c.dropped_overrun == 50_000)
        assert counters.dropped_overrun > 0


@isolated
def test_memory_stays_as_large_as_the_longest_queue() -> None:
    def push(wire: Lab, total: int) -> WireCounters:
        for frame in frames(2000):
            wire.send("a", frame)
        return wire.wait_for(lambda c: c.queued_packets + c.forwarded_packets == total)

    def resident(wire: Lab) -> int:
        return int(Path(f"/proc/{wire.process.pid}/statm").read_text().split()[1])

    def hold(delay: str) -> bool:
        with lab(f"{delay} limit 5000") as wire:
            used = []
            for number in range(1, 7):
                if push(wire, 2000 * number).forwarded_packets > 2000 * (number - 1):
                    return False  # not all of them were held at once
                wire.wait_for(lambda counters: counters.queued_packets == 0)
                used.append(resident(wire))
            # At first long frames come to lie where only short ones were.  Those of three rounds
            # are 4 MiB.
            assert used[5] - used[2] < 256  # pages, 1 MiB
        return True

    assert in_time(hold)


@isolated
def test_refusals_are_explained_and_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("5\n4\n")
    wire = Lab(start=False)
    with pytest.raises(SandboxError, match="wire 'gone': there is no interface 'nowhere'"):
        wire.emulator.add(
            link="gone", a="wire_a", b="nowhere", mtu=1500, toward_a=Netem(), toward_b=Netem()
        )
    with pytest.raises(InputError, match=r"bad:2: times must not go down"):
        wire.add(f"trace {tmp_path}/bad")
    with pytest.raises(SandboxError, match="wire 'lan': there is no direction 'b'"):
        wire.emulator.set("lan", "b", Netem())
    assert wire.emulator.counters() == {}
    wire.add("delay 1ms")
    with pytest.raises(SandboxError, match="wire 'lan': it exists already"):
        wire.add()
    with pytest.raises(InputError, match="cannot be read"):
        wire.emulator.set("lan", "b", Netem(trace=f"{tmp_path}/none"))
    wire.send("a", *frames(3))
    assert wire.receive_frames("b", 3) == frames(3)
    wire.close()


@isolated
def test_it_ends_with_its_control_connection() -> None:
    wire = Lab()
    assert wire.process.poll() is None
    wire.emulator.close()
    assert wire.process.wait(20) == 0


@isolated
def test_its_death_is_noticed() -> None:
    wire = Lab()
    wire.process.kill()
    wire.process.wait(20)
    with pytest.raises(SandboxError, match="emulator"):
        wire.emulator.counters()


@isolated
def test_it_reports_what_it_costs_and_how_it_is_scheduled() -> None:
    with lab() as wire:
        report = wire.emulator.report()
        assert report.cpu_seconds > 0
        assert report.scheduling in {"fifo", "nice", "normal"}
        assert wire.emulator.cpu_seconds() >= report.cpu_seconds
