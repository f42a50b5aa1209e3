"""The accuracy of the emulator in rate, delay and loss, and the number of frames that it carries.

Run it with ``python bench/wire.py``: it prints what it measured beside what is required and exits
with 1 if a requirement was missed.  ``--json`` prints one JSON document, ``--write FILE`` replaces
the marked region of a Markdown file with the table.

Two hosts are joined by one wire in private network namespaces.  Raw Ethernet frames of 1514 octets
with a sequence number go from one to the other.  The kernel stamps each frame when it arrives at
the wire and when it arrives at the receiver (``SO_TIMESTAMPNS`` on packet sockets), so that
reading late changes nothing.  What a frame's departure should have been is computed from its own
arrival.
"""

from __future__ import annotations

import argparse
import array
import contextlib
import ctypes
import json
import math
import os
import platform
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import _region
from scipy import stats

from testbed.libc import Vector
from testbed.middlebox.box import Box
from testbed.wire.emulator.client import Emulator, command
from testbed.wire.netem import Netem, WireCounters
from testbed.wire.servers import packet_time_ns

FRAME: Final = 1514  # octets: 1500 and the Ethernet header
ETHERTYPE: Final = 0x88B5  # IEEE 802 local experimental: no stack answers it
MBIT: Final = 10**6
NS_PER_S: Final = 10**9

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SO_TIMESTAMPNS: Final = 35
_SO_RCVBUFFORCE: Final = 33
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_IGNORE_OUTGOING = 263, 6, 23


class Row(NamedTuple):
    """One measured number."""

    what: str
    measured: str
    required: str
    met: bool


class Arrival(NamedTuple):
    """A frame seen by a packet socket."""

    number: int
    time_ns: int


# Namespaces and links


def _unshare(flags: int) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")


def _become_root() -> None:
    """Enter a user namespace when not root, so that network namespaces can be made."""
    uid, gid = os.getuid(), os.getgid()
    if uid == 0:
        return
    _unshare(_CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


class Namespace:
    """A network namespace held by a descriptor."""

    def __init__(self) -> None:
        _unshare(_CLONE_NEWNET)
        self.fd = os.open("/proc/self/ns/net", os.O_RDONLY)

    @property
    def path(self) -> str:
        """A path by which iproute2 finds it."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def enter(self) -> None:
        """Make it the namespace of this process."""
        if ctypes.CDLL(None, use_errno=True).setns(self.fd, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


def _ip(*words: str) -> None:
    subprocess.run(("ip", *words), check=True)


class Bed:
    """Two hosts, the wire namespace between them, and packet sockets that watch."""

    def __init__(self) -> None:
        _become_root()
        self.hosts = (Namespace(), Namespace())
        self.wires = Namespace()
        for name, host in zip("ab", self.hosts, strict=True):
            peer = ("peer", "name", "eth0", "netns", host.path)
            _ip("link", "add", f"w0{name}", "type", "veth", *peer)
            self._up(f"w0{name}")
            host.enter()
            self._up("eth0")
            self.wires.enter()

    @contextlib.contextmanager
    def wire(self, options: str, middlebox: tuple[Box, ...] = ()) -> Iterator[Emulator]:
        """Run an emulator with one wire; ``options`` shape what goes from the first host."""
        self.wires.enter()
        ours, theirs = socket.socketpair()
        descriptor = theirs.fileno()
        process = subprocess.Popen(command(descriptor), pass_fds=(descriptor,))
        theirs.close()
        emulator = Emulator(ours)
        netem = Netem.parse(options)
        emulator.add(
            link="l",
            a="w0a",
            b="w0b",
            mtu=1500,
            toward_a=Netem(),
            toward_b=netem,
            middlebox=middlebox,
            nodes=("a", "b"),
        )
        try:
            yield emulator
        finally:
            emulator.close()
            process.wait(10)

    def watch_entry(self) -> socket.socket:
        """Return a packet socket that sees the frames that reach the wire."""
        return self._watch(self.wires, "w0a")

    def watch_exit(self) -> socket.socket:
        """Return a packet socket that sees the frames that reach the second host."""
        return self._watch(self.hosts[1], "eth0")

    def _watch(self, namespace: Namespace, interface: str) -> socket.socket:
        namespace.enter()
        watcher = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        watcher.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        watcher.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        with contextlib.suppress(PermissionError):
            watcher.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 2**29)
        watcher.bind((interface, ETHERTYPE))
        watcher.settimeout(0)
        self.wires.enter()
        return watcher

    @staticmethod
    def _up(interface: str) -> None:
        Path(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6").write_text("1")
        _ip("link", "set", interface, "up")


# Traffic


def _frame(number: int) -> bytes:
    head = b"\x02" + bytes(5) + b"\x02" + bytes(5) + struct.pack("!HQ", ETHERTYPE, number)
    return head.ljust(FRAME, b"\0")


def start_sender(bed: Bed, send: Callable[[socket.socket], None]) -> int:
    """Fork a process that sends from the first host and return its id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        bed.hosts[0].enter()
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sender.bind(("eth0", 0))
        send(sender)
        status = 0
    finally:
        os._exit(status)


def _paced(count: int, rate: float) -> Callable[[socket.socket], None]:
    """Send ``count`` numbered frames evenly at ``rate`` bit/s."""

    def send(sender: socket.socket) -> None:
        frames = [_frame(number) for number in range(count)]
        gap = FRAME * 8 / rate
        start = time.monotonic() + 0.05
        for number, frame in enumerate(frames):
            wait = start + number * gap - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            sender.send(frame)

    return send


def _bursts(seconds: float, rate: float) -> Callable[[socket.socket], None]:
    """Send at ``rate`` bit/s, or as fast as the kernel takes frames, 16 per system call."""
    burst = 16

    def send(sender: socket.socket) -> None:
        frame = ctypes.create_string_buffer(_frame(0), FRAME)
        iovec = array.array("Q", (ctypes.addressof(frame), FRAME))
        vector = Vector()
        vector.point_to([iovec.buffer_info()[0]] * burst)
        gap = FRAME * 8 / rate
        start = time.monotonic()
        sent = 0
        while (now := time.monotonic()) < start + seconds:
            time.sleep(max(0.0, start + sent * gap - now))
            with contextlib.suppress(BlockingIOError):
                sent += vector.send(sender.fileno(), burst)

    return send


def _drain(watcher: socket.socket) -> list[Arrival]:
    arrivals = []
    with contextlib.suppress(BlockingIOError):
        while True:
            frame, control, _, _ = watcher.recvmsg(32, 64)
            seconds, nanoseconds = struct.unpack("qq", control[0][2][:16])
            number = struct.unpack_from("!Q", frame, 14)[0]
            arrivals.append(Arrival(number, seconds * NS_PER_S + nanoseconds))
    return arrivals


def _carry(bed: Bed, emulator: Emulator, count: int, rate: float) -> list[list[Arrival]]:
    """Send frames through the wire and return what was seen at its entry and its exit."""
    with bed.watch_entry() as entry, bed.watch_exit() as exit_:
        entered: list[Arrival] = []
        left: list[Arrival] = []
        sender = start_sender(bed, _paced(count, rate))
        while len(entered) < count or _counters(emulator).queued_packets:
            time.sleep(0.05)
            entered += _drain(entry)
            left += _drain(exit_)
        os.waitpid(sender, 0)
        left += _drain(exit_)
    return [entered, left]


def _counters(emulator: Emulator) -> WireCounters:
    return emulator.counters()["l", "b"]


# Measurements


def rate(bed: Bed, mbit: int) -> Iterator[Row]:
    """Offer more than the rate and compare the output with the rate."""
    count = max(1500, mbit * 250)
    with bed.wire(f"rate {mbit}mbit limit 100000") as emulator:
        _, out = _carry(bed, emulator, count, 1.3 * mbit * MBIT)
    octets = (len(out) - 1) * FRAME
    measured = octets * 8 * NS_PER_S / (out[-1].time_ns - out[0].time_ns) / MBIT
    error = measured / mbit - 1
    what = f"rate {mbit}mbit: rate of frames that left"
    yield Row(what, f"{measured:.3f} Mbit/s ({error:+.3%})", "within 1 %", abs(error) <= 0.01)


def delay(bed: Bed, options: str, mbit: float) -> Iterator[Row]:
    """Compare the departure of each frame with its expected departure."""
    netem = Netem.parse(options)
    with bed.wire(options) as emulator:
        entered, left = _carry(bed, emulator, min(10_000, int(mbit * 1000)), mbit * MBIT)
    at_exit = dict(left)
    errors = []
    last_ns = 0
    for number, arrived_ns in entered:
        due_ns = arrived_ns + (netem.delay.delay_ns if netem.delay else 0)
        if netem.rate:
            due_ns = max(due_ns, last_ns) + packet_time_ns(FRAME, netem.rate)
        last_ns = due_ns
        errors.append(abs(at_exit[number] - due_ns) / 1e6)
    errors.sort()
    median, p99 = statistics.median(errors), errors[len(errors) * 99 // 100]
    what = f"{options}: delay error at {mbit:g} Mbit/s"
    yield Row(f"{what}, median", f"{median:.3f} ms", "under 0.3 ms", median < 0.3)
    yield Row(f"{what}, p99", f"{p99:.3f} ms", "under 1 ms", p99 < 1)


def loss(bed: Bed, percent: float) -> Iterator[Row]:
    """Count losses among 20,000 frames."""
    count = 20_000
    with bed.wire(f"loss {percent}%") as emulator:
        _, left = _carry(bed, emulator, count, 100 * MBIT)
    low, high = (int(bound) for bound in stats.binom.interval(0.99, count, percent / 100))
    lost = count - len(left)
    what = f"loss {percent:g}%: frames lost of {count:,}"
    yield Row(what, f"{lost}", f"{low} to {high} (99 % binomial)", low <= lost <= high)


def throughput(bed: Bed, offered: float, seconds: float = 3) -> Iterator[Row]:
    """Count the frames of one sender that an unshaped wire carries."""
    with bed.wire("") as emulator:
        sender = start_sender(bed, _bursts(seconds + 1, offered))
        time.sleep(0.5)
        start, before = time.monotonic(), _counters(emulator)
        time.sleep(seconds)
        end, after = time.monotonic(), _counters(emulator)
        os.waitpid(sender, 0)
        counters = _counters(emulator)
    octets = after.forwarded_bytes - before.forwarded_bytes
    carried = octets * 8 / (end - start) / MBIT
    unasked = counters.dropped_overrun + counters.dropped_send
    if offered == math.inf:
        what, lossless = "as many as one sender can send", True
    else:
        what, lossless = f"{offered / MBIT:.0f} Mbit/s offered", not unasked
    yield Row(
        f"unshaped, {what}",
        f"{carried:.0f} Mbit/s, {unasked} frames lost",
        "at least 500 Mbit/s" + (", 0 lost" if offered < math.inf else ""),
        carried >= 500 and lossless,
    )


def measure() -> Iterator[Row]:
    """Make all measurements, one after the other."""
    bed = Bed()
    for mbit in (10, 50, 100):
        yield from rate(bed, mbit)
    for options, mbit in (
        ("delay 20ms", 1),
        ("delay 20ms", 10),
        ("delay 20ms", 50),
        ("rate 50mbit delay 20ms", 50),
    ):
        yield from delay(bed, options, mbit)
    for percent in (1, 10):
        yield from loss(bed, percent)
    yield from throughput(bed, 525 * MBIT)
    yield from throughput(bed, math.inf)


# Output


def as_markdown(rows: list[Row]) -> str:
    """Return the rows as a Markdown table with the machine they were measured on."""
    lines = ["| what | measured | required | met |", "| --- | --- | --- | --- |"]
    lines += [f"| {' | '.join(row[:3])} | {'yes' if row.met else 'no'} |" for row in rows]
    machine = f"{os.cpu_count()} cores, Linux {platform.release()}, {platform.machine()}"
    python = f"Python {platform.python_version()}"
    load = f"load {os.getloadavg()[1]:.1f} before and during"
    return "\n".join([*lines, "", f"`python bench/wire.py` on {machine}, {python}, {load}."])


def main() -> int:
    """Measure, print and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--write", type=Path, help="replace the marked region of a Markdown file")
    arguments = parser.parse_args()
    rows = []
    for row in measure():
        rows.append(row)
        if not arguments.json:
            verdict = "ok" if row.met else "MISSED"
            print(f"{row.what:<60} {row.measured:>28}   {row.required:<24} {verdict}", flush=True)
    if arguments.json:
        print(json.dumps([row._asdict() for row in rows], indent=2))
    if arguments.write:
        _region.replace(arguments.write, "bench", as_markdown(rows))
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
