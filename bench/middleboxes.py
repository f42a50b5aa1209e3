"""The cost of middleboxes in the emulator: CPU time for each frame that it carries.

Run it with ``python bench/middleboxes.py``: it prints one line for each box, and exits with 1 if an
emulator with that box would carry less than 200 Mbit/s of full frames on one core.  ``--json``
prints one JSON document.

Full frames with TCP segments as MPTCP has them (timestamps, a Data ACK and a mapping) go through an
emulator over real interfaces.  What counts is the processor time of its process, which another
load of the machine does not change much; boxes take turns, and the median of the rounds is taken.
The factor is against the wire without a box in the same run.
"""

from __future__ import annotations

import argparse
import array
import contextlib
import ctypes
import json
import math
import os
import socket
import statistics
import sys
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from wire import FRAME, Bed, start_sender

from testbed.libc import Vector
from testbed.middlebox.box import Box
from testbed.packet import codec
from testbed.packet.address import Address
from testbed.packet.mptcp import Dss
from testbed.packet.options import Timestamps
from testbed.packet.segment import ACK, Segment
from testbed.wire.netem import ETHERNET_HEADER

ROUNDS: Final = 3
SECONDS: Final = 1.5  # duration of the traffic for each box in a round
OFFERED: Final = 100e6  # bit/s: less than what any box carries on a busy machine
WANTED: Final = 200e6
BURST: Final = 16
MOST_US: Final = FRAME * 8 / WANTED * 1e6  # processor time of a frame at that rate

BOXES: Final[dict[str, Box | None]] = {
    "no box": None,
    "clamp_mss (changes nothing)": Box(kind="clamp_mss", options={"mss": 1000}),
    "strip_options": Box(kind="strip_options"),
    "rewrite_sequence": Box(kind="rewrite_sequence"),
    "nat": Box(kind="nat", options={"public": "10.0.0.9", "outside": "b"}),
    "firewall (drops nothing)": Box(kind="firewall", options={"where": "syn"}),
    "policer": Box(kind="policer", options={"rate": "1gbit", "burst": "1mb"}),
    "split": Box(kind="split", options={"size": 724}),
}


class Row(NamedTuple):
    """The cost of a box."""

    box: str
    us: float  # processor time of a frame that arrived, in microseconds
    factor: float  # factor to the time without a box

    @property
    def mbit(self) -> float:
        """The rate of full frames that one core carries."""
        return FRAME * 8 / self.us

    @property
    def met(self) -> bool:
        """Whether that meets the requirement."""
        return self.us <= MOST_US


def frame() -> bytes:
    """Return a full frame as a sender of MPTCP makes it."""
    options = (
        Timestamps(1, 2),
        Dss(data_ack=1, wide_ack=False, dsn=1, subflow_seq=1, length=1420),
    )
    empty = Segment(
        source=Address("10.0.0.1", 1000),
        destination=Address("10.0.0.2", 80),
        seq=1,
        flags=ACK,
        options=options,
    )
    room = FRAME - ETHERNET_HEADER - codec.header_length(empty)
    whole = Segment(
        source=empty.source, destination=empty.destination, seq=1, flags=ACK, options=options,
        payload=os.urandom(room),
    )  # fmt: skip
    header = b"\x02" + bytes(5) + b"\x02" + bytes(5) + b"\x08\x00"
    return header + codec.emit(whole)


def _bursts(octets: bytes) -> Callable[[socket.socket], None]:
    def send(sender: socket.socket) -> None:
        buffer = ctypes.create_string_buffer(octets, FRAME)
        iovec = array.array("Q", (ctypes.addressof(buffer), FRAME))
        vector = Vector()
        vector.point_to([iovec.buffer_info()[0]] * BURST)
        start, sent = time.monotonic(), 0
        while (now := time.monotonic()) < start + SECONDS:
            time.sleep(max(0.0, start + sent * FRAME * 8 / OFFERED - now))
            with contextlib.suppress(BlockingIOError):
                sent += vector.send(sender.fileno(), BURST)

    return send


def cost_us(bed: Bed, octets: bytes, box: Box | None) -> float:
    """Return the processor time that an emulator needs for a frame, in microseconds."""
    with bed.wire("", () if box is None else (box,)) as emulator:
        before = emulator.report()
        sender = start_sender(bed, _bursts(octets))
        os.waitpid(sender, 0)
        after = emulator.report()
        (direction,) = (each for each in after.directions if each.toward == "b")
        if box is None:
            came = direction.counters.forwarded_packets
        else:
            ((work,),) = after.boxes.values()
            came = work.came
    return (after.cpu_seconds - before.cpu_seconds) / came * 1e6 if came else math.inf


def measure() -> list[Row]:
    """Measure all boxes, in turn."""
    bed, octets = Bed(), frame()
    found: dict[str, list[float]] = {name: [] for name in BOXES}
    for _ in range(ROUNDS):
        for name, box in BOXES.items():
            found[name].append(cost_us(bed, octets, box))
    medians = {name: statistics.median(each) for name, each in found.items()}
    return [Row(name, us, us / medians["no box"]) for name, us in medians.items()]


def main() -> int:
    """Measure, print and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    rows = measure()
    if arguments.json:
        print(json.dumps([{**row._asdict(), "mbit": row.mbit} for row in rows], indent=2))
        return 0 if all(row.met for row in rows) else 1
    for row in rows:
        verdict = "ok" if row.met else "MISSED"
        print(
            f"{row.box:<30} {row.us:6.1f} us a frame, {row.factor:4.1f} times as much as without "
            f"a box: {row.mbit:5.0f} Mbit/s on one core (at least {WANTED / 1e6:.0f})  {verdict}"
        )
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
